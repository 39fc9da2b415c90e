import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from threading import Event, Semaphore
from unittest.mock import AsyncMock, Mock

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from app import middleware
from app.middleware import BODY_LIMIT, DISCARD_LIMIT, BodyLimit, Shedding


def body_of(size: int) -> bytes:
    """Return a valid todo of exactly this many bytes."""
    frame = b'{"title": "x", "ignored": ""}'
    return frame.replace(b'""', b'"' + b"y" * (size - len(frame)) + b'"')


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1_000):
        yield body[start : start + 1_000]


@pytest.mark.parametrize("chunked", (False, True))
def test_largest_body_is_accepted(client: TestClient, chunked: bool) -> None:
    body = body_of(BODY_LIMIT)
    assert len(body) == BODY_LIMIT
    content = in_chunks(body) if chunked else body
    answer = client.post("/todos/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("chunked", (False, True))
@pytest.mark.parametrize("size", (BODY_LIMIT + 1, DISCARD_LIMIT * 2))
def test_larger_body_is_refused(client: TestClient, size: int, chunked: bool) -> None:
    content = in_chunks(body_of(size)) if chunked else body_of(size)
    for answer in (client.post("/todos/", content=content), client.put("/todos/1", content=body_of(size))):
        assert answer.status_code == 413
        assert answer.json() == {"detail": "The body is larger than 65536 bytes"}
        assert answer.headers["Connection"] == "close"
    assert client.get("/todos/").json() == []


@pytest.mark.parametrize("identifier", ("a", "A-Z.0_9", "x" * 64))
def test_sane_request_id_is_kept(client: TestClient, identifier: str) -> None:
    answer = client.get("/todos/", headers={"X-Request-ID": identifier})
    assert answer.headers.get_list("X-Request-ID") == [identifier]


@pytest.mark.parametrize("identifier", ("", "x" * 65, "two words", "<script>", "a\tb", "é"))
def test_other_request_id_is_replaced(client: TestClient, identifier: str) -> None:
    answer = client.get("/todos/", headers=[(b"X-Request-ID", identifier.encode())])
    assert middleware.SANE_ID.fullmatch(answer.headers["X-Request-ID"])
    assert answer.headers["X-Request-ID"] != identifier


def test_each_request_gets_its_own_id(client: TestClient) -> None:
    assert len({client.get("/nothing").headers["X-Request-ID"] for _ in range(3)}) == 3


def test_unexpected_error_is_a_plain_500_with_a_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.routers.todos._find", lambda *_: 1 / 0)
    answer = client.get("/todos/1")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["X-Request-ID"]
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


def test_more_requests_than_can_be_worked_on_are_answered_at_once(
    own_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.middleware.IN_PROGRESS", 2)
    working, done = Semaphore(0), Event()

    def work() -> None:
        working.release()
        done.wait()

    own_client.app.get("/work")(work)  # type: ignore[attr-defined]
    with ThreadPoolExecutor() as threads:
        requests = [threads.submit(own_client.get, "/work") for _ in range(2)]
        for _ in requests:
            assert working.acquire(timeout=60)
        answer = own_client.get("/todos/")
        probes = [own_client.get(path).status_code for path in ("/healthz", "/readyz")]
        done.set()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["detail"] == "Too many requests are being worked on; try again in a moment."
    assert probes == [200, 200]
    assert [request.result().status_code for request in requests] == [200, 200]
    assert own_client.get("/todos/").status_code == 200


def test_streams_take_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.middleware.IN_PROGRESS", 1)
    statuses: list[int] = []

    async def stream(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        # Its end is the client's.
        await receive()

    async def two_clients() -> None:
        left, sent = asyncio.Event(), asyncio.Queue[Message]()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        shedding, scope = Shedding(stream), {"type": "http", "path": "/events", "headers": []}
        async with asyncio.TaskGroup() as clients:
            for _ in range(2):
                clients.create_task(shedding(scope, receive, sent.put))
                statuses.append((await sent.get())["status"])
            left.set()

    asyncio.run(two_clients())
    assert statuses == [200, 200]


def test_prefix_removed_by_the_proxy_is_known(serve: Callable[..., TestClient], empty_table: str) -> None:
    client = serve(empty_table, root_path="/api")
    assert client.get("/todos/").status_code == 200
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/api"}]
    redirect = client.get("/todos", follow_redirects=False)
    assert redirect.headers["Location"] == "http://testserver/api/todos/"


def receive_all(*messages: Message, then: Message) -> tuple[list[Message], Mock]:
    """Put the body limit in front of an application, feed it these messages, and return what it sends and the feed."""
    sent: list[Message] = []
    feed = Mock(side_effect=chain(messages, repeat(then)))
    application = AsyncMock()

    async def receive() -> Message:
        message: Message = feed()
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(BodyLimit(application)(scope, receive, send))
    application.assert_not_awaited()
    return sent, feed


def test_endless_body_is_not_read_for_ever() -> None:
    sent, feed = receive_all(then={"type": "http.request", "body": b"x" * 1_024, "more_body": True})
    assert sent[0]["status"] == 413
    assert feed.call_count == DISCARD_LIMIT // 1_024 + 1


def test_client_that_leaves_in_the_middle_of_its_body_gets_no_answer() -> None:
    start = {"type": "http.request", "body": b"{", "more_body": True}
    sent, _ = receive_all(start, then={"type": "http.disconnect"})
    assert sent == []
