"""What a change asks for, as a table."""

import pytest

from warmfork.parent.policy import Change, Known, Standby, Way, decide

MAIN, VERSION, OTHER = "/app/main.py", "/app/version.py", "/app/other.py"
EXECUTED = frozenset({MAIN, VERSION, OTHER})
SAVED = Change(files=frozenset({VERSION}))
UNSERVED = frozenset({VERSION})


@pytest.mark.parametrize(
    ("change", "known", "way"),
    (
        (Change(), Known(executed=EXECUTED), Way.IGNORE),
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED), Way.IMPORT),
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED, standbys=[Standby({MAIN})]), Way.STANDBY),
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED, standbys=[Standby(set())]), Way.STANDBY),
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED, standbys=[Standby({VERSION})]), Way.IMPORT),
        # An earlier change, which did not start, counts as well.
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED | {OTHER}, standbys=[Standby({OTHER})]), Way.IMPORT),
        (SAVED, Known(broken=UNSERVED, executed=EXECUTED, unserved=UNSERVED, standbys=[Standby(set())]), Way.FAIL),
        # Nobody knows who reads it.
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED, has_template=True), Way.SWAP),
        (SAVED, Known(executed=EXECUTED, unserved=UNSERVED, has_template=True, unread=UNSERVED), Way.IMPORT),
        # Of two, the other one may be what fails first; and a file that nobody imports may be broken.
        (SAVED, Known(broken=UNSERVED, executed=EXECUTED, unserved=UNSERVED | {OTHER}), Way.IMPORT),
        (SAVED, Known(broken=UNSERVED, executed=frozenset({MAIN}), unserved=UNSERVED), Way.IMPORT),
        (
            SAVED,
            Known(executed=EXECUTED, unserved=UNSERVED, standbys=[Standby(set())], is_single=True),
            Way.ONE_AT_A_TIME,
        ),
        (Change(files=UNSERVED, environment=".env"), Known(executed=EXECUTED, standbys=[Standby(set())]), Way.RESTART),
        (
            Change(files=UNSERVED, libraries=("common",)),
            Known(executed=EXECUTED, standbys=[Standby(set())]),
            Way.RESTART,
        ),
        (Change(packages=("fastapi",)), Known(executed=EXECUTED, standbys=[Standby(set())]), Way.RESTART),
    ),
)
def test_way(change: Change, known: Known, way: Way) -> None:
    assert decide(change, known).way is way


def test_reason_of_a_restart_names_what_has_changed() -> None:
    assert "development.env" in decide(Change(environment="development.env"), Known()).reason
    assert "fastapi" in decide(Change(packages=("fastapi",)), Known()).reason
    assert "common" in decide(Change(libraries=("common",)), Known()).reason


def test_of_several_the_one_that_has_imported_most_takes_over_the_change() -> None:
    standbys = [
        Standby({VERSION, MAIN, OTHER}),
        Standby(set()),
        Standby({OTHER}),
        Standby({MAIN, OTHER}, is_outdated=True),
    ]
    decision = decide(SAVED, Known(executed=EXECUTED, unserved=UNSERVED, standbys=standbys))
    assert (decision.way, decision.standby) == (Way.STANDBY, standbys[2])
