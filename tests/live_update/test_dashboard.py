"""The dashboard beside a running loop: in a browser, and whatever is killed."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bench.page import open_browser
from devenv import paths
from devenv.dashboard import ADDRESS, PORT
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MAIN = "backend/app/main.py"
# Milliseconds in which the page must show what has happened.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(loop: Loop, browser: Browser) -> Iterator[Page]:
    loop.until("nothing is left to do", loop.is_settled, BUILD)
    with browser.new_page(viewport={"width": 1280, "height": 800}) as page:
        yield page


def entry(page: Page, text: str) -> Locator:
    """Return the newest save of the timeline that has this text."""
    return page.locator("#saves > li").filter(has_text=text).first


class Recorder:
    """What the dashboard sends to a page that opens now, read until nothing more comes."""

    def __init__(self) -> None:
        self.epoch = ""
        self.lines: list[dict[str, Any]] = []
        connection = http.client.HTTPConnection("localhost", PORT, timeout=30)
        try:
            connection.request("GET", "/api/events")
            for name, data in _events(connection.getresponse()):
                if name == "hello":
                    self.epoch = data["epoch"]
                elif name == "lines":
                    self.lines += data
                elif name == "state":
                    # The lines that there are come before it.
                    return
        finally:
            connection.close()

    @property
    def texts(self) -> list[tuple[str, str, str]]:
        return [(line["resource"], line["pod"], line["text"]) for line in self.lines]


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for raw in response:
        key, _, value = raw.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def what_tilt_has() -> Counter[str]:
    """Count the lines that Tilt itself keeps of the application, by their text."""
    result = subprocess.run(
        ["tilt", "logs", "--json", "backend", "frontend", "fast-lane"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    # Of a progress bar it prints some states. A line that another one interrupts it ends by an empty one of its own.
    kept = (line for line in lines if line["source"] == "runtime" and line["message"] and not line["progressID"])
    return Counter(line["message"].rstrip("\r") for line in kept)


def kill(pidfile: Path) -> None:
    """Kill what runs under the number in the file, and wait for its end."""
    process = Path("/proc") / pidfile.read_text()
    os.kill(int(process.name), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while process.exists() and "\nState:\tZ" not in (process / "status").read_text():
        assert time.monotonic() < deadline, f"process {process.name} does not end"
        time.sleep(0.05)


def start_dashboard(loop: Loop) -> None:
    subprocess.run([sys.executable, "-m", "devenv", "dashboard"], cwd=loop.checkout, check=True, capture_output=True)


def test_save_is_in_the_timeline(loop: Loop, edits: Edits, page: Page) -> None:
    page.goto(f"{ADDRESS}?view=loop")
    with loop.live_update("backend"):
        edits.append(MAIN, "# for the timeline\n")
        save = entry(page, MAIN)
        expect(save).to_contain_text("Served by both replicas after")
    expect(save).to_contain_text("Fast lane · backend")
    expect(save).to_contain_text("reload")
    # Of one request, where the save was served before a second one was sent.
    expect(save).to_contain_text(re.compile(r"None of \d+ requests? failed"))


def test_broken_code_is_told_with_its_reason_until_it_is_mended(edits: Edits, page: Page) -> None:
    page.goto(f"{ADDRESS}?view=state")
    backend = page.locator(".resource").filter(has=page.get_by_role("heading", name="backend"))
    expect(backend).to_contain_text("2 of 2 pods ready")
    edits.append(MAIN, "def (\n")
    expect(backend.locator(".reason").first).to_contain_text("SyntaxError: ")
    expect(page).to_have_title(re.compile("^✗ backend: "))
    page.get_by_role("link", name="Loop").click()
    expect(entry(page, MAIN)).to_contain_text("Not served: SyntaxError: ")
    edits.restore()
    page.get_by_role("link", name="State").click()
    expect(backend).to_contain_text("ready")
    expect(page.locator("#overall")).to_contain_text("All ")


def test_pods_tell_their_versions(page: Page) -> None:
    page.goto(f"{ADDRESS}?view=state")
    backend = page.locator(".resource").filter(has=page.get_by_role("heading", name="backend"))
    expect(backend.locator("td[data-label=Serves] code")).to_have_count(2)


def test_unexpected_rebuild_names_its_file(loop: Loop, page: Page) -> None:
    page.goto(f"{ADDRESS}?view=loop")
    # In the image's context, covered by no sync(), and nothing that an image is made from.
    notes = "warmfork/src/warmfork/notes.txt"
    with loop.build("backend"):
        # It is in nobody's way, and to take it back would be another build.
        (loop.checkout / notes).write_text("nothing\n")
    expect(entry(page, notes)).to_contain_text(f"Unexpected rebuild, caused by {notes}. {notes}: no sync() covers it")


def test_filter_of_the_address_is_that_of_the_log(page: Page) -> None:
    page.goto(f"{ADDRESS}?view=logs&resource=fast-lane&filter=connected")
    expect(page.locator("#log .row").first).to_contain_text("connected")
    expect(page.locator("#log .row").filter(has_not_text="fast-lane")).to_have_count(0)


def test_trigger_reaches_tilt(loop: Loop, page: Page) -> None:
    before = loop.history("fast-lane")[0]["startTime"]
    page.goto(f"{ADDRESS}?view=state")
    page.get_by_role("button", name="Trigger fast-lane").click()
    loop.until("Tilt has started it anew", lambda: loop.history("fast-lane")[0]["startTime"] > before)
    loop.until("all is well again", loop.is_settled)


def missing_lines() -> Counter[str]:
    """Return the lines that Tilt keeps and the dashboard has not, or has less often."""
    kept = what_tilt_has()
    return kept - Counter(text for _, _, text in Recorder().texts)


def await_all_lines(loop: Loop) -> None:
    try:
        loop.until("the dashboard has what Tilt has", lambda: not missing_lines())
    except AssertionError as error:
        raise AssertionError(f"missing: {missing_lines()}") from error


def test_lines_are_those_of_tilt(loop: Loop) -> None:
    await_all_lines(loop)


def test_dashboard_that_is_killed_comes_back_with_all_that_tilt_has(loop: Loop, page: Page) -> None:
    page.goto(f"{ADDRESS}?view=logs")
    expect(page.locator("#log .row").first).to_be_visible()
    epoch = Recorder().epoch
    kill(paths.STATE / "dashboard.pid")
    expect(page.locator("#banner")).to_contain_text("The dashboard does not answer")
    start_dashboard(loop)
    await_all_lines(loop)
    recorder = Recorder()
    assert recorder.epoch != epoch
    assert [line["id"] for line in recorder.lines] == list(range(1, len(recorder.lines) + 1))
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator(f"#line-{recorder.lines[-1]['id']}")).to_be_attached()


def test_nothing_that_is_killed_takes_a_line_along(loop: Loop, edits: Edits, page: Page) -> None:
    """First Tilt, then the cluster's node, each brought back by `make up`."""
    page.goto(f"{ADDRESS}?view=logs")
    expect(page.locator("#log .row").first).to_be_visible()
    before = Recorder()
    kill(paths.STATE / "tilt.pid")
    loop.abandon()
    expect(page.locator("#banner")).to_contain_text("Tilt does not run")
    assert Recorder().texts[: len(before.lines)] == before.texts
    loop.start()
    expect(page.locator("#banner")).to_be_hidden()
    between = Recorder()
    subprocess.run(["docker", "kill", "todo-control-plane"], check=True, capture_output=True)
    loop.stop()
    loop.start()
    with loop.live_update("backend"):
        edits.append(MAIN, "# after both\n")
        loop.until(
            "the dashboard tells of it",
            lambda: any("reloaded in" in text for _, _, text in Recorder().texts[len(between.lines) :]),
        )
    after = Recorder()
    assert after.epoch == before.epoch
    assert after.texts[: len(between.lines)] == between.texts
    assert between.texts[: len(before.lines)] == before.texts
    assert [line["id"] for line in after.lines] == list(range(1, len(after.lines) + 1))
