"""What became of requests while code changed: answered, failed, stale or wrong."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

ANSWERED = "answered"
# An idle connection that the server closed without having said so: no request, but the next one could have been lost.
DROPPED = "dropped"


class Kind(StrEnum):
    """Which connection a request went over."""

    NEW = "new"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its end. Times are seconds of the monotonic clock.

    outcome: ANSWERED (a 200 that could be read), DROPPED, or what went wrong, in a word or two.
    """

    kind: Kind
    began: float
    sent: float
    ended: float
    outcome: str
    version: str = ""
    replica: str = ""


@dataclass
class Tally:
    """How many requests there were, and how many of them had which fault."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    # Older code than an answer of the same replica had shown before the request was sent, or no saved state at all.
    wrong: int = 0
    # Sent after a save and answered by the code before it; a wrong answer is also stale.
    stale: int = 0
    dropped: int = 0
    # Seconds from the beginning to the end of the request that took longest.
    longest: float = 0

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.failures.total()


class Judge:
    """Knows which version was saved when, and which had been shown when."""

    def __init__(self, version: str) -> None:
        """Begin with the version that is served before the first save."""
        self._versions = {version: 0}
        self._saves: list[float] = []
        # In words, for whoever looks for the cause.
        self.wrong: list[str] = []
        # For each replica: when a version newer than any before was first shown, and its number; both ascending.
        self._shown: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def expect(self, version: str, saved: float) -> None:
        """Note that a version was saved at that time."""
        self._versions[version] = len(self._versions)
        self._saves.append(saved)

    def tally(self, exchanges: Iterable[Exchange]) -> dict[Kind, Tally]:
        """Count exchanges, all of which ended after those that were counted before."""
        exchanges = sorted(exchanges, key=lambda exchange: exchange.ended)
        for exchange in exchanges:
            self._note(exchange)
        tallies = {kind: Tally() for kind in Kind}
        for exchange in exchanges:
            self._count(exchange, tallies[exchange.kind])
        return tallies

    def _note(self, exchange: Exchange) -> None:
        number = self._versions.get(exchange.version)
        shown = self._shown[exchange.replica]
        if number is not None and (not shown or number > shown[-1][1]):
            shown.append((exchange.ended, number))

    def _count(self, exchange: Exchange, tally: Tally) -> None:
        if exchange.outcome == DROPPED:
            tally.dropped += 1
            return
        tally.requests += 1
        tally.longest = max(tally.longest, exchange.ended - exchange.began)
        if exchange.outcome != ANSWERED:
            tally.failures[exchange.outcome] += 1
            return
        number = self._versions.get(exchange.version, -1)
        shown = self._shown[exchange.replica]
        earlier = bisect_right(shown, exchange.sent, key=lambda entry: entry[0])
        saves = bisect_right(self._saves, exchange.sent)
        if number < (known := shown[earlier - 1][1] if earlier else 0):
            tally.wrong += 1
            since = f", {exchange.sent - self._saves[saves - 1]:.3f} s after save {saves}" if saves else ""
            code = f"the code of save {number}" if number >= 0 else f"{exchange.version}, which was never saved"
            self.wrong.append(f"{exchange.replica}: {code}, after that of save {known}{since}")
        tally.stale += number < saves
