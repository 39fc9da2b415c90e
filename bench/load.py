"""An open-loop load: requests are sent on time, whether or not earlier ones have been answered."""

import selectors
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Event
from types import TracebackType
from typing import Self

from bench.connection import Connection, Target
from bench.history import Exchange, Kind

# Seconds after which a request counts as not answered.
PATIENCE = 10.0
# New connections that may wait for an answer; while as many do, no further one is opened.
OUTSTANDING = 64
# Seconds between two looks for what has waited too long.
TICK = 0.1


@dataclass(frozen=True)
class Rate:
    """How often requests are sent. Periods are seconds; each of the kept connections has its own."""

    new_period: float
    kept: int
    kept_period: float


class Ticker:
    """Is due once a period; what was missed is not made up for."""

    def __init__(self, period: float, due: float) -> None:
        """Begin at a time, in seconds of the monotonic clock."""
        self.due = due
        self._period = period

    def is_due(self, now: float) -> bool:
        """Tell whether it is time; if so, the next time is a period later."""
        if now < self.due:
            return False
        self.due += self._period
        if self.due <= now:
            self.due = now + self._period
        return True


class Load:
    """Requests for a target, sent by a thread while the context lasts; leaving it waits for the outstanding answers."""

    def __init__(self, target: Target, rate: Rate) -> None:
        """Prepare; nothing is sent before the context is entered."""
        self._rate = rate
        self._selector = selectors.DefaultSelector()
        self._target = target
        self._executor = ThreadPoolExecutor(1, "load")
        self._sending: Future[None] | None = None
        self._stopping = Event()
        self._ended: deque[Exchange] = deque()
        self._firsts: dict[str, float] = {}
        self._news = Condition()

    def __enter__(self) -> Self:
        """Begin to send."""
        self._sending = self._executor.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending; wait for the outstanding answers, at most PATIENCE seconds."""
        self._stopping.set()
        self._executor.shutdown()
        self._selector.close()
        if self._sending is not None and error is None:
            self._sending.result()

    def first_answer(self, version: str, seconds: float) -> float | None:
        """Wait until a new connection has shown the version; return when its answer was complete."""
        with self._news:
            self._news.wait_for(lambda: version in self._firsts, seconds)
            return self._firsts.get(version)

    def take(self) -> list[Exchange]:
        """Return what has ended since the last time."""
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def _run(self) -> None:
        now = time.monotonic()
        opened: list[Connection] = []
        kept = [self._connection(Kind.KEPT) for _ in range(self._rate.kept)]
        opening, looking = Ticker(self._rate.new_period, now), Ticker(TICK, now)
        # Spread over the period, lest they all send at once.
        sending = [Ticker(self._rate.kept_period, now + TICK * number / len(kept)) for number in range(len(kept))]
        while not self._stopping.is_set():
            self._wait(looking, opening, *sending)
            now = time.monotonic()
            opened = [connection for connection in opened if connection.is_busy]
            if opening.is_due(now) and len(opened) < OUTSTANDING:
                opened.append(self._connection(Kind.NEW))
                opened[-1].request()
            for connection, ticker in zip(kept, sending, strict=True):
                if ticker.is_due(now) and not connection.is_busy:
                    connection.request()
            if looking.is_due(now):
                _give_up(opened + kept, now)
        while any(connection.is_busy for connection in opened + kept):
            self._wait(looking)
            if looking.is_due(now := time.monotonic()):
                _give_up(opened + kept, now)
        for connection in kept:
            connection.close()

    def _connection(self, kind: Kind) -> Connection:
        return Connection(kind, self._target, self._selector, self._record)

    def _wait(self, *tickers: Ticker) -> None:
        """Handle what comes until one of them is due."""
        until = min(ticker.due for ticker in tickers)
        for key, _ in self._selector.select(max(until - time.monotonic(), 0)):
            key.data()

    def _record(self, exchange: Exchange) -> None:
        self._ended.append(exchange)
        if exchange.kind == Kind.NEW and exchange.version and exchange.version not in self._firsts:
            with self._news:
                self._firsts[exchange.version] = exchange.ended
                self._news.notify_all()


def _give_up(connections: list[Connection], now: float) -> None:
    for connection in connections:
        connection.expire(now - PATIENCE)
