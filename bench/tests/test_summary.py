"""From single saves to the numbers that are quoted."""

import math
from collections import Counter

import pytest

from bench.history import Kind, Tally
from bench.summary import COLUMNS, Summary, percentile, save_columns, spell


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    ((1, 50, 1), (1, 95, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (21, 95, 20), (40, 95, 38), (40, 100, 40)),
)
def test_a_percentile_is_one_of_the_values(count: int, percent: int, expected: int) -> None:
    assert percentile(list(range(count, 0, -1)), percent) == expected


def test_a_save_that_is_never_served_is_the_slowest() -> None:
    assert spell(percentile([1, math.inf, 3], 100)) == "never"


@pytest.mark.core
def test_a_row_is_summarised_as_it_was_counted() -> None:
    tallies = {
        Kind.NEW: Tally(requests=10, failures=Counter(refused=2), wrong=1, stale=3, longest=0.5),
        Kind.KEPT: Tally(requests=5, failures=Counter(refused=1, reset=1), dropped=4),
    }
    row = save_columns(12.34, tallies)
    assert set(row) == set(COLUMNS)
    assert row["failures"] == "3 refused; 1 reset"
    summary = Summary.of([row, save_columns(None, tallies)])
    assert summary.latencies == [12.3, math.inf]
    assert summary.requests == {Kind.NEW: 20, Kind.KEPT: 10}
    assert summary.failed == {Kind.NEW: 4, Kind.KEPT: 4}
    assert (summary.wrong, summary.stale, summary.dropped) == (2, 6, 8)
