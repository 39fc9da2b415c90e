"""The server: whom it answers, what it streams, what it passes on to Tilt."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dashboard.cluster import Pods
from dashboard.model import Model, Settings
from dashboard.server import Service, create_app, events
from dashboard.tests.tilt_views import LogStore
from dashboard.tilt import RefusedError, Tilt

HOST = "localhost:10351"


class RecordingTilt(Tilt):
    """Notes what it is told to do."""

    def __init__(self) -> None:
        super().__init__(10350, Path("/nowhere"))
        self.told: list[tuple[str, str]] = []
        self.refusal = ""

    async def run(self, action: str, resource: str) -> None:
        if self.refusal:
            raise RefusedError(self.refusal)
        self.told.append((action, resource))

    async def press(self, button: str) -> None:
        self.told.append(("press", button))


@pytest.fixture
def tilt() -> RecordingTilt:
    return RecordingTilt()


@pytest.fixture
def model(tilt: Tilt) -> Model:
    settings = Settings(
        Path("/checkout"), "todo", "http://localhost:8080", "http://localhost:8080/x", "backend", has_page=False
    )
    model = Model(settings, tilt, Pods("nowhere", "todo", 8000))
    one = {"metadata": {"name": "backend"}, "status": {"updateStatus": "ok", "runtimeStatus": "ok"}}
    model.take_object("uiresources", "ALL", {"items": [one]})
    location = {"componentType": "Global", "componentID": "nav"}
    model.take_object(
        "uibuttons", "ADDED", {"metadata": {"name": "seed"}, "spec": {"location": location, "text": "Seed"}}
    )
    return model


@pytest.fixture
def app(model: Model, tilt: Tilt) -> FastAPI:
    return create_app(Service(model, tilt, "1"), 10351, follow=False)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=f"http://{HOST}") as client:
        yield client


def token(client: TestClient) -> str:
    page: str = client.get("/").text
    return page.partition('name="token" content="')[2].partition('"')[0]


class TestStrangers:
    @pytest.mark.parametrize("host", ("evil.example:10351", "localhost", "localhost:8080", "[::1]:10351", ""))
    def test_other_host_is_refused(self, host: str, client: TestClient) -> None:
        for method, path in (("GET", "/"), ("GET", "/api/events"), ("POST", "/api/actions"), ("GET", "/api/logs.txt")):
            assert client.request(method, path, headers={"Host": host}).status_code == HTTPStatus.FORBIDDEN

    @pytest.mark.parametrize(
        "origin", ("http://evil.example", "http://localhost:8080", "https://localhost:10351", "null")
    )
    def test_other_origin_is_refused(self, origin: str, client: TestClient) -> None:
        headers = {"Origin": origin, "X-Token": token(client)}
        action = {"action": "trigger", "resource": "backend"}
        assert client.post("/api/actions", json=action, headers=headers).status_code == HTTPStatus.FORBIDDEN

    @pytest.mark.parametrize("site", ("cross-site", "same-site"))
    def test_page_of_another_site_cannot_load_anything(self, site: str, client: TestClient) -> None:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert client.get("/api/logs.txt", headers=headers).status_code == HTTPStatus.FORBIDDEN

    def test_link_from_another_site_is_followed(self, client: TestClient) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert client.get("/?view=logs", headers=headers).status_code == HTTPStatus.OK

    @pytest.mark.parametrize("host", ("localhost:10351", "127.0.0.1:10351"))
    def test_own_page_is_answered(self, host: str, client: TestClient) -> None:
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert client.get("/api/health", headers=headers).json() == {"checkout": "/checkout", "version": "1"}

    def test_every_answer_has_the_policy(self, client: TestClient) -> None:
        for path in ("/", "/style.css", "/nothing.js", "/api/health"):
            policy = client.get(path).headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy

    @pytest.mark.parametrize(
        "path", ("/..%2fserver.py", "/%2e%2e/server.py", "/.%2e/__init__.py", "/server.py", "/api")
    )
    def test_nothing_but_the_page_s_files(self, path: str, client: TestClient) -> None:
        assert client.get(path).status_code == HTTPStatus.NOT_FOUND


class TestActions:
    @pytest.mark.parametrize("action", ("trigger", "enable", "disable"))
    def test_action_reaches_tilt(self, action: str, client: TestClient, tilt: RecordingTilt) -> None:
        asked = {"action": action, "resource": "backend"}
        answer = client.post("/api/actions", json=asked, headers={"X-Token": token(client)})
        assert answer.json() == {"ok": True}
        assert tilt.told == [(action, "backend")]

    def test_button_is_pressed(self, client: TestClient, tilt: RecordingTilt) -> None:
        client.post("/api/actions", json={"action": "press", "button": "seed"}, headers={"X-Token": token(client)})
        assert tilt.told == [("press", "seed")]

    @pytest.mark.parametrize("given", ("", "wrong", "ä"))
    def test_wrong_token_is_refused(self, given: str, client: TestClient, tilt: RecordingTilt) -> None:
        headers = {"X-Token": given.encode()}
        answer = client.post("/api/actions", json={"action": "trigger", "resource": "backend"}, headers=headers)
        assert (answer.status_code, tilt.told) == (HTTPStatus.FORBIDDEN, [])

    @pytest.mark.parametrize(
        ("asked", "status"),
        (
            ({"action": "trigger", "resource": "--help"}, HTTPStatus.NOT_FOUND),
            ({"action": "press", "button": "../seed"}, HTTPStatus.NOT_FOUND),
            ({"action": "delete", "resource": "backend"}, HTTPStatus.UNPROCESSABLE_ENTITY),
            ({}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ),
    )
    def test_what_there_is_not_is_refused(
        self, asked: dict[str, str], status: int, client: TestClient, tilt: RecordingTilt
    ) -> None:
        answer = client.post("/api/actions", json=asked, headers={"X-Token": token(client)})
        assert (answer.status_code, tilt.told) == (status, [])

    def test_refusal_of_tilt_is_passed_on(self, client: TestClient, tilt: RecordingTilt) -> None:
        tilt.refusal = "backend cannot be disabled"
        asked = {"action": "disable", "resource": "backend"}
        answer = client.post("/api/actions", json=asked, headers={"X-Token": token(client)})
        assert (answer.status_code, answer.json()) == (HTTPStatus.BAD_GATEWAY, {"error": tilt.refusal})


class Stream:
    """A page's stream of events, read as they come."""

    def __init__(self, model: Model, epoch: str = "e", last: int = 0) -> None:
        self._events: AsyncIterator[str] = events(model, epoch, last)

    async def next(self, name: str) -> Any:  # noqa: ANN401
        """Return the data of the next event of this name."""
        async with asyncio.timeout(10):
            async for text in self._events:
                fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
                if fields["event"] == name:
                    return json.loads(fields["data"])
        raise AssertionError("the stream has ended")


def log(model: Model, store: LogStore, *texts: str) -> None:
    before = store.total
    store.lines("backend", *texts)
    model.take_view(store.view(before))


class TestEvents:
    @pytest.mark.core
    def test_lines_come_as_they_are_logged(self, model: Model) -> None:
        async def read() -> list[list[str]]:
            store, stream = LogStore(), Stream(model)
            log(model, store, "one", "two")
            first = await stream.next("lines")
            log(model, store, "three")
            return [[line["text"] for line in lines] for lines in (first, await stream.next("lines"))]

        assert asyncio.run(read()) == [["one", "two"], ["three"]]

    def test_many_lines_come_in_pieces(self, model: Model) -> None:
        async def read() -> list[int]:
            store, stream = LogStore(keeps=10_000), Stream(model)
            log(model, store, *map(str, range(4_500)))
            return [len(await stream.next("lines")) for _ in range(3)]

        assert asyncio.run(read()) == [2_000, 2_000, 500]

    def test_stream_resumes_after_a_line(self, model: Model) -> None:
        async def read() -> list[str]:
            store = LogStore()
            log(model, store, "one", "two", "three")
            return [line["text"] for line in await Stream(model, last=2).next("lines")]

        assert asyncio.run(read()) == ["three"]

    @pytest.mark.core
    def test_state_follows(self, model: Model) -> None:
        async def read() -> list[str]:
            stream = Stream(model)
            first = await stream.next("state")
            status = {"updateStatus": "error", "runtimeStatus": "ok"}
            model.take_view(LogStore().view())
            model.take_object("uiresources", "MODIFIED", {"metadata": {"name": "backend"}, "status": status})
            return [state["overall"]["status"] for state in (first, await stream.next("state"))]

        assert asyncio.run(read()) == ["off", "error"]

    def test_saves_are_sent_once_each(self, model: Model) -> None:
        async def read() -> list[list[int]]:
            store, stream = LogStore(), Stream(model)
            store.resources |= {"localserve:1": "fast-lane"}
            ids = []
            for number in (1, 2):
                before = store.total
                store.lines("fast-lane", f"fast lane: app/x{number}.py: 2 of 2 replicas in 80 ms", span="localserve:1")
                model.take_view(store.view(before))
                ids.append([save["id"] for save in (await stream.next("saves"))["saves"]])
            return ids

        assert asyncio.run(read()) == [[1], [2]]


def test_download_has_all_or_some_resources(client: TestClient, model: Model) -> None:
    store = LogStore()
    store.lines("backend", "one")
    store.lines("frontend", "two")
    model.take_view(store.view())
    assert client.get("/api/logs.txt").text == "backend one\nfrontend two\n"
    assert client.get("/api/logs.txt?resource=frontend").text == "frontend two\n"
