"""Answered, failed, stale and wrong, on histories that are made by hand: version a, then b saved at 10 and c at 20."""

import pytest

from bench.history import ANSWERED, DROPPED, Exchange, Judge, Kind


def answer(version: str, sent: float, ended: float, *, replica: str = "", kind: Kind = Kind.NEW) -> Exchange:
    return Exchange(kind, sent, sent, ended, ANSWERED, version, replica)


@pytest.fixture
def judge() -> Judge:
    judge = Judge("a")
    judge.expect("b", saved=10)
    judge.expect("c", saved=20)
    return judge


def test_old_code_before_the_save_is_neither_stale_nor_wrong(judge: Judge) -> None:
    tally = judge.tally([answer("a", 8, 9), answer("a", 9, 11), answer("b", 12, 13), answer("b", 19, 21)])[Kind.NEW]
    assert (tally.requests, tally.failed, tally.stale, tally.wrong) == (4, 0, 0, 0)


def test_old_code_after_the_save_is_stale(judge: Judge) -> None:
    tally = judge.tally([answer("a", 11, 12), answer("b", 21, 22)])[Kind.NEW]
    assert (tally.stale, tally.wrong) == (2, 0)


def test_older_code_than_was_shown_before_the_request_is_wrong(judge: Judge) -> None:
    tally = judge.tally([answer("b", 11, 12, replica="one"), answer("a", 13, 14, replica="one")])[Kind.NEW]
    assert (tally.stale, tally.wrong) == (1, 1)
    assert judge.wrong == ["one: the code of save 0, after that of save 1, 3.000 s after save 1"]


def test_older_code_to_a_request_that_was_sent_before_the_newer_answer_is_stale_only(judge: Judge) -> None:
    tally = judge.tally([answer("b", 11, 13), answer("a", 12, 14)])[Kind.NEW]
    assert (tally.stale, tally.wrong) == (1, 0)


def test_an_answer_over_one_kind_of_connection_binds_the_other(judge: Judge) -> None:
    tallies = judge.tally([answer("b", 11, 12), answer("a", 13, 14, kind=Kind.KEPT)])
    assert (tallies[Kind.NEW].wrong, tallies[Kind.KEPT].wrong) == (0, 1)


def test_each_replica_is_judged_by_its_own_answers(judge: Judge) -> None:
    history = [answer("b", 11, 12, replica="one"), answer("a", 13, 14, replica="two")]
    tally = judge.tally(history)[Kind.NEW]
    assert (tally.stale, tally.wrong) == (1, 0)


def test_what_was_never_saved_is_wrong(judge: Judge) -> None:
    assert judge.tally([answer("half of b", 9, 12, replica="one")])[Kind.NEW].wrong == 1
    assert judge.wrong == ["one: half of b, which was never saved, after that of save 0"]


def test_earlier_windows_count(judge: Judge) -> None:
    judge.tally([answer("c", 21, 22)])
    tally = judge.tally([answer("b", 21.5, 23), answer("b", 24, 25)])[Kind.NEW]
    assert (tally.stale, tally.wrong) == (2, 1)


def test_failures_are_counted_by_what_went_wrong(judge: Judge) -> None:
    outcomes = ("refused", "reset", "refused", ANSWERED)
    tally = judge.tally([Exchange(Kind.NEW, 1, 1, 2, outcome, "a") for outcome in outcomes])[Kind.NEW]
    assert (tally.requests, tally.failed, dict(tally.failures)) == (4, 3, {"refused": 2, "reset": 1})


def test_a_dropped_connection_is_no_request(judge: Judge) -> None:
    tally = judge.tally([Exchange(Kind.KEPT, 1, 1, 1, DROPPED)])[Kind.KEPT]
    assert (tally.requests, tally.failed, tally.dropped) == (0, 0, 1)


def test_the_longest_request_counts_from_the_beginning_of_its_connection(judge: Judge) -> None:
    history = [Exchange(Kind.NEW, 1, 3, 3.5, ANSWERED, "a"), answer("a", 4, 5)]
    assert judge.tally(history)[Kind.NEW].longest == 2.5
