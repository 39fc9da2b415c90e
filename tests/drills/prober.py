"""Sends requests to the application at a fixed rate, and prints each with its outcome as a line of JSON.

Open loop: a request is sent when it is due, whether or not earlier ones were answered, and its time counts from then.
Half of the requests write. Half use a connection of their own; the others use kept ones as browsers do: one that the
server has closed is not used again, and no request is sent twice. It ends by itself, or when its standard input ends.
Standard library alone: it also runs in a pod. usage: prober.py --url http://frontend:8080 --name a-word
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 15.0  # seconds after which a request counts as not answered
# A bound for what a fault of ours could send.
MAXIMUM_RATE, MAXIMUM_SECONDS = 2_000.0, 900.0
TURNS = 16  # requests of the different kinds; all over kept connections, then all over new ones
LIST = "/api/todos/?limit=10"
BODY_SHOWN = 200  # characters of an unexpected answer


@dataclass
class Record:
    """A request and its outcome.

    due, sent, ended: seconds of the wall clock; how late it was sent is the prober's own doing. item: the number of the
    todo among this run's. status: 0 without an answer. title: what the todo was to be called; todo_id: as the answer
    says, or as asked. error: empty when it went well. retry_after: seconds, as the answer says.
    """

    due: float
    method: str
    path: str
    kept: bool
    item: int = -1
    title: str = ""
    todo_id: int = -1
    sent: float = 0.0
    status: int = 0
    retry_after: str = ""
    ended: float = 0.0
    error: str = ""


@dataclass
class Item:
    """A todo of this run, as far as answers have told. It is used by one request at a time."""

    number: int
    todo_id: int
    title: str


@dataclass
class Connection:
    """A connection to the site, and whether it can be used once more."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closes: bool = False

    @property
    def is_closed(self) -> bool:
        return self.closes or self.reader.at_eof() or self.writer.is_closing()


@dataclass
class Answer:
    """What came back."""

    status: int
    retry_after: str
    body: bytes


@dataclass
class Site:
    """Where requests go to, and the connections that are kept."""

    host: str
    port: int
    kept: list[Connection] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: bytes | None, *, kept: bool) -> Answer:
        """Send one request and return its answer. Raises OSError, EOFError, ValueError and TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            connection = (kept and self._kept_connection()) or await self._new_connection()
            try:
                answer = await self._exchange(connection, method, path, body, kept=kept)
            except BaseException:
                connection.writer.close()
                raise
        if kept and not connection.is_closed:
            self.kept.append(connection)
        else:
            connection.writer.close()
        return answer

    def close(self) -> None:
        """Close what is kept."""
        while self.kept:
            self.kept.pop().writer.close()

    def _kept_connection(self) -> Connection | None:
        while self.kept:
            # The one used last, as urllib3 does.
            connection = self.kept.pop()
            if not connection.is_closed:
                return connection
            connection.writer.close()
        return None

    async def _new_connection(self) -> Connection:
        return Connection(*await asyncio.open_connection(self.host, self.port))

    async def _exchange(
        self, connection: Connection, method: str, path: str, body: bytes | None, *, kept: bool
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [] if kept else ["Connection: close"]
        lines += [] if body is None else ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        connection.writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        head = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        connection.closes = headers.get("connection", "").lower() == "close"
        length = headers.get("content-length")
        if length is None and not connection.closes:
            raise ValueError(f"an answer of unknown length: {head}")
        read = connection.reader.read() if length is None else connection.reader.readexactly(int(length))
        return Answer(int(head[0].split()[1]), headers.get("retry-after", ""), await read)


class Prober:
    """One run: what is asked next, and what is known of the todos that it has made."""

    def __init__(self, site: Site, name: str, *, writes: bool) -> None:
        """Prepare. name: begins each title, so that the run's rows are found again."""
        self._site = site
        self._name = name
        self._writes = writes
        self._free: list[Item] = []
        self._numbers = count()
        self._choices = random.Random(name)  # noqa: S311 - no secret

    async def run(self, rate: float, seconds: float, stopped: asyncio.Event) -> None:
        """Send requests until the time is up or it is stopped, then wait for their answers."""
        began = time.time()
        async with asyncio.TaskGroup() as requests:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(due - time.time(), 0)):
                        await stopped.wait()
                if stopped.is_set():
                    break
                requests.create_task(self._request(number, due))
        self._site.close()

    async def _request(self, number: int, due: float) -> None:
        kept = bool(number // TURNS % 2)
        with self._operation(number) as (method, path, item, title):
            record = Record(due, method, path, kept, item.number if item else -1, title, item.todo_id if item else -1)
            body = json.dumps({"title": title}).encode() if title else None
            before = item.title if item else ""
            if item and method != "GET":
                # Nobody knows, until a good answer tells.
                item.title = ""
            record.sent = time.time()
            try:
                answer = await self._site.ask(method, path, body, kept=kept)
                record.status, record.retry_after = answer.status, answer.retry_after
                record.error = self._judge(record, answer, item, before)
            except (OSError, EOFError, ValueError) as error:
                record.error = repr(error) if not isinstance(error, TimeoutError) else f"no answer in {PATIENCE:g} s"
            record.ended = time.time()
        print(json.dumps(asdict(record)), flush=True)

    @contextlib.contextmanager
    def _operation(self, number: int) -> Iterator[tuple[str, str, Item | None, str]]:
        """Choose method, path, todo and title; the todo is nobody else's meanwhile, and free again if it is known."""
        turn = number % TURNS // 2
        if self._writes and number % 2:
            if turn in {0, 4, 6} or not (item := self._take()):
                made = Item(next(self._numbers), -1, "")
                yield "POST", "/api/todos/", made, f"{self._name}-{made.number}-0"
                item = made
            elif turn in {1, 3, 5}:
                title = f"{self._name}-{item.number}-{int(item.title.rpartition('-')[2]) + 1}"
                yield "PUT", f"/api/todos/{item.todo_id}", item, title
            else:
                yield "DELETE", f"/api/todos/{item.todo_id}", item, ""
        elif turn % 2 and (item := self._take()):
            yield "GET", f"/api/todos/{item.todo_id}", item, ""
        else:
            yield "GET", "/style.css" if turn == 4 else LIST, None, ""
            return
        # What a failed write has left is for the comparison at the end to find out.
        if item.title:
            self._free.append(item)

    def _take(self) -> Item | None:
        return self._free.pop(self._choices.randrange(len(self._free))) if self._free else None

    def _judge(self, record: Record, answer: Answer, item: Item | None, before: str) -> str:
        """Return what is wrong with the answer; note what it tells of the todo, which was called so before."""
        if answer.status != 200:
            return answer.body.decode(errors="replace")[:BODY_SHOWN] or "no body"
        if item is None:
            return ""
        todo: dict[str, Any] = json.loads(answer.body)
        expected = record.title or before
        if todo["title"] != expected or item.todo_id not in {-1, todo["id"]}:
            return f"expected {expected} with number {item.todo_id}, saw {answer.body.decode()[:BODY_SHOWN]}"
        record.todo_id = item.todo_id = todo["id"]
        item.title = "" if record.method == "DELETE" else expected
        return ""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--rate", type=float, default=50, help="requests a second, %(default)g by default")
    parser.add_argument("--seconds", type=float, default=MAXIMUM_SECONDS, help="at most %(default)g, the default")
    parser.add_argument("--read-only", action="store_true")
    arguments = parser.parse_args()
    if not 0 < arguments.rate <= MAXIMUM_RATE or not 0 < arguments.seconds <= MAXIMUM_SECONDS:
        parser.error(f"--rate is at most {MAXIMUM_RATE:g}, --seconds at most {MAXIMUM_SECONDS:g}")
    address = urlsplit(arguments.url)
    site = Site(address.hostname or "", address.port or 80)
    stopped = asyncio.Event()
    waiting = asyncio.create_task(_stop_with_input(stopped))
    prober = Prober(site, arguments.name, writes=not arguments.read_only)
    await prober.run(arguments.rate, arguments.seconds, stopped)
    waiting.cancel()


async def _stop_with_input(stopped: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stopped.set()


if __name__ == "__main__":
    asyncio.run(main())
