"""How smooth the dashboard's log stays while it is full and much arrives: make bench-dashboard."""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Page

from bench import machine
from bench.command import PUBLISHED, measure_then_report
from bench.page import open_browser
from bench.processes import process_tree
from bench.report import table, write_markdown
from bench.results import Results
from bench.summary import percentile
from dashboard.cluster import Pods
from dashboard.logs import MAXIMUM_LINES
from dashboard.model import Model, Settings
from dashboard.server import Service, create_app
from dashboard.tilt import Tilt

# Lines a second, in so many messages: as Tilt sends them at most every 200 ms, this is finer.
RATE, MESSAGES = 1_000, 20
SECONDS = 20.0
BUDGET = 16
PACKAGES = ("fastapi", "uvicorn", "playwright")
COLUMNS = ("run", "work_ms", "interval_ms")
# Of each frame: the time since the one before, and the time from its first callback to the first task after it has been
# laid out and painted. What the page does outside of frames makes the next one late.
WATCH = """
() => {
    const frames = (window.frames_seen = []);
    let before;
    const { port1, port2 } = new MessageChannel();
    let began;
    port1.onmessage = () => frames.push([performance.now() - began, began - before]);
    const frame = () => {
        const now = performance.now();
        before = began ?? now;
        began = now;
        port2.postMessage(null);
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}
"""
METHOD = """\
The dashboard's own server and page, in headless Chromium at 1280 x 800, with {kept:,} lines in the page; then {rate:,}
lines a second for {seconds:.0f} s, of them one in twenty a structured log line, one in a hundred a traceback of six
lines. *Work*: from a frame's first callback to the first task after it was painted. *Interval*: from frame to frame, of
a display with 60 Hz, which a page that does nothing keeps at 16.7 ms. Percentiles are nearest-rank."""


def view(first: int, count: int) -> dict[str, Any]:
    """Return a message of Tilt's log stream with so many segments."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    segments = [{"spanId": "pod:backend:backend-1", "time": now, "text": f"{text(first + n)}\n"} for n in range(count)]
    log = {"spans": {"pod:backend:backend-1": {"manifestName": "backend"}}, "segments": segments}
    return {
        "tiltStartTime": "2026-01-01T00:00:00Z",
        "logList": log | {"fromCheckpoint": first, "toCheckpoint": first + count},
    }


def text(number: int) -> str:
    """Return the line with a number."""
    within = number % 100
    if within == 0:
        return "Traceback (most recent call last):"
    if within < 5:  # noqa: PLR2004
        return f'  File "/app/app/module_{within}.py", line {number}, in function'
    if within == 5:  # noqa: PLR2004
        return f"ValueError: line {number}"
    if within % 20 == 0:
        fields = {
            "level": "info",
            "msg": f"GET /api/todos/{number} 200",
            "duration_ms": 1.5,
            "request_id": f"{number:032x}",
        }
        return json.dumps(fields)
    return f"line {number}: a message of a usual length, with a path /api/todos/{number} and some words"


@contextlib.contextmanager
def serving(model: Model, tilt: Tilt) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """Serve the dashboard on a free port; provide its address, and the loop that the model lives in."""
    started: list[asyncio.AbstractEventLoop] = []
    configuration = uvicorn.Config("unused", host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=0)
    listener = configuration.bind_socket()
    port = listener.getsockname()[1]
    configuration.app = create_app(Service(model, tilt), port, follow=False)
    server = uvicorn.Server(configuration)

    async def serve() -> None:
        started.append(asyncio.get_running_loop())
        await server.serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/", started[0]
    finally:
        server.should_exit = True
        thread.join()


class Frames:
    """One measurement."""

    def __init__(self, output: Path) -> None:
        """Prepare to write into the folder."""
        self._output = output
        self._results = Results(output / "dashboard.csv", COLUMNS)
        self._facts: list[str] = []

    def measure(self) -> None:
        """Fill the log, watch frames while more arrives, and check that every line has."""
        tilt = Tilt(0)
        settings = Settings(Path.cwd(), "todo", "http://localhost:8080", "", "backend", has_page=False)
        model = Model(settings, tilt, Pods("nowhere", "todo", 8000))
        run = datetime.now(UTC).isoformat(timespec="seconds")
        with serving(model, tilt) as (address, loop), open_browser() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{address}?view=logs")
            for first in range(0, MAXIMUM_LINES, 2_000):
                loop.call_soon_threadsafe(model.take_view, view(first, 2_000))
            await_lines(page, MAXIMUM_LINES)
            page.evaluate(WATCH)
            sent = MAXIMUM_LINES
            began = time.monotonic()
            while (since := time.monotonic() - began) < SECONDS:
                count = RATE // MESSAGES
                loop.call_soon_threadsafe(model.take_view, view(sent, count))
                sent += count
                page.wait_for_timeout(max(1000 * ((sent - MAXIMUM_LINES) / RATE - since), 0))
            frames = page.evaluate("window.frames_seen")
            await_lines(page, sent)
            heap = page.evaluate("performance.memory?.usedJSHeapSize ?? 0") / 2**20
            rows = page.locator("*").count()
            self._facts = [
                f"{sent - MAXIMUM_LINES:,} lines arrived in {since:.1f} s, and the page had the last of {sent:,}",
                f"page: {heap:.0f} MiB of JavaScript heap, {rows} elements",
                f"this process, server and sender in one: {process_tree(os.getpid())[0].memory / 2**20:.0f} MiB",
            ]
        for work, interval in frames:
            self._results.add({"run": run, "work_ms": f"{work:.2f}", "interval_ms": f"{interval:.2f}"})

    def report(self) -> None:
        """Print a table, and write Markdown."""
        rows = self._results.rows()
        if not rows:
            return
        lines = []
        for name, column in (("work in a frame", "work_ms"), ("from frame to frame", "interval_ms")):
            values = [float(row[column]) for row in rows]
            figures = [f"{percentile(values, percent):.1f}" for percent in (50, 95, 99)]
            lines.append([name, str(len(values)), *figures, f"{max(values):.1f}"])
        remark = METHOD.format(kept=MAXIMUM_LINES, rate=RATE, seconds=SECONDS)
        texts = [
            table(["milliseconds", "n", "p50", "p95", "p99", "max"], lines),
            f"Budget: {BUDGET} ms of work, p95. " + "; ".join(self._facts) + ".",
            remark,
            f"{machine.today()}: {machine.describe_machine()}. {machine.describe_packages(PACKAGES)}.",
        ]
        print("\n", *texts, sep="\n\n")
        write_markdown(self._output / "dashboard.md", "make bench-dashboard", texts)


def await_lines(page: Page, identifier: int) -> None:
    """Wait until the page shows the line with this id, at the end of the log that it follows."""
    page.wait_for_selector(f"#line-{identifier}", state="attached", timeout=120_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--output", type=Path, default=PUBLISHED, help="folder (docs/performance)")
    frames = Frames(parser.parse_args(arguments).output)
    return measure_then_report(frames.measure, frames.report)


if __name__ == "__main__":
    sys.exit(main())
