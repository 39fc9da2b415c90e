"""From single saves to the numbers that are quoted."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.history import Kind, Tally

# One row of a CSV file, by column.
type Row = Mapping[str, str]

TALLY_COLUMNS = tuple(
    f"{kind}_{name}" for kind in Kind for name in ("requests", "failed", "wrong", "stale", "dropped", "longest_ms")
)
COLUMNS = ("milliseconds", *TALLY_COLUMNS, "failures")


def save_columns(milliseconds: float | None, tallies: Mapping[Kind, Tally]) -> dict[str, str]:
    """Return COLUMNS of a save; no milliseconds when the new code was never served."""
    columns = {"milliseconds": "" if milliseconds is None else f"{milliseconds:.1f}"}
    for kind, tally in tallies.items():
        values = (tally.requests, tally.failed, tally.wrong, tally.stale, tally.dropped, f"{1000 * tally.longest:.1f}")
        columns |= dict(zip((name for name in TALLY_COLUMNS if name.startswith(kind)), map(str, values), strict=True))
    failures = sum((tally.failures for tally in tallies.values()), Counter[str]())
    return columns | {"failures": "; ".join(f"{count} {outcome}" for outcome, count in sorted(failures.items()))}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed: always one of them."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def milliseconds(text: str) -> float:
    """Read a latency; infinite when the new code was never served."""
    return float(text) if text else math.inf


def spell(value: float) -> str:
    """Write a latency down."""
    return "never" if math.isinf(value) else f"{value:.0f}"


@dataclass(frozen=True)
class Summary:
    """The saves of one kind. Latencies in milliseconds; counts by kind of connection."""

    latencies: list[float]
    requests: dict[Kind, int]
    failed: dict[Kind, int]
    wrong: int
    stale: int
    dropped: int

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Summary":
        """Summarise rows that have COLUMNS."""
        rows = list(rows)

        def total(name: str) -> dict[Kind, int]:
            return {kind: sum(int(row[f"{kind}_{name}"]) for row in rows) for kind in Kind}

        return cls(
            latencies=[milliseconds(row["milliseconds"]) for row in rows],
            requests=total("requests"),
            failed=total("failed"),
            wrong=sum(total("wrong").values()),
            stale=sum(total("stale").values()),
            dropped=sum(total("dropped").values()),
        )

    @property
    def median(self) -> float:
        """Return the latency of the save in the middle."""
        return percentile(self.latencies, 50)
