"""The database goes away, dies, hangs and is full: requests are told so in time, no write is lost, nothing restarts."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from tests.drills.deployment import Deployment
from tests.drills.prober import Record
from tests.drills.traffic import Traffic, recovery
from tests.drills.verdict import give

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RATE = 50  # a second
UNDISTURBED = 2 * RATE  # requests before the fault and after it
SETTLED = 4 * RATE  # requests in a row without a failure: the end of an outage


def delete_pod(deployed: Deployment) -> None:
    deployed.kubectl("delete", "pod", "postgres-0", "--wait=false")


def kill(deployed: Deployment) -> None:
    deployed.kill("postgres-0")


def restart_statefulset(deployed: Deployment) -> None:
    deployed.roll_out("statefulset/postgres")


def terminate_connections(deployed: Deployment) -> None:
    deployed.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'todo_app'")


def lock_table(deployed: Deployment) -> None:
    deployed.psql("BEGIN; LOCK TABLE todo IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT")


def refuse_connections(deployed: Deployment) -> None:
    """As it is when somebody else has all of them: the old ones end, and no new one is to be had for 5 s."""
    deployed.psql("ALTER ROLE todo_app CONNECTION LIMIT 0")
    terminate_connections(deployed)
    deployed.psql("SELECT pg_sleep(5)")
    deployed.psql("ALTER ROLE todo_app CONNECTION LIMIT -1")


@dataclass(frozen=True)
class Drill:
    fault: Callable[[Deployment], None]
    title: str
    # What is said meanwhile; nothing where no request fails.
    told: str


AWAY = "The database is not reachable"
# What is said besides, while requests wait for it and more of them come.
WAITING = (
    "All connections to the database are in use",
    "Too many requests are being worked on",
    "The backend is not reachable, or has too much to do",
)
DRILLS = (
    Drill(delete_pod, "the pod of PostgreSQL deleted", AWAY),
    Drill(kill, "PostgreSQL killed with -9", AWAY),
    Drill(restart_statefulset, "rollout of PostgreSQL", AWAY),
    Drill(terminate_connections, "all connections ended", ""),
    Drill(refuse_connections, "no connection to be had for 5 s", "The database has no connection left"),
    Drill(lock_table, "the table locked for 5 s", "The database took too long"),
)


@pytest.mark.parametrize("deployed", ("ci",), indirect=True)
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.fault.__name__)
def test_lost_database_is_told_and_nothing_is_lost(
    deployed: Deployment, drill: Drill, request: pytest.FixtureRequest
) -> None:
    restarts = deployed.restarts("backend")
    with deployed.traffic("--rate", str(RATE)) as traffic:
        traffic.wait_for(UNDISTURBED)
        drill.fault(deployed)
        done = time.time()
        await_service(traffic, done)
        deployed.await_rollout("statefulset/postgres")
        traffic.wait_for(UNDISTURBED)
    records = traffic.records()
    figures = deployed.figures(traffic)
    give(request.node.callspec.id, drill.title, f"{RATE} a second", figures, recovery(records, done))
    assert figures.lost == [], figures
    assert {record.status for record in records if record.error} <= {503}, figures
    said = details(records)
    # A statement that is cut off at that moment has lost its database, too.
    assert said - set(WAITING) <= {drill.told, AWAY}, figures
    assert not drill.told or drill.told in said
    assert deployed.restarts("backend") == restarts


@pytest.mark.parametrize("deployed", ("ci",), indirect=True)
def test_full_disk_is_told_and_nothing_is_lost(deployed: Deployment, request: pytest.FixtureRequest) -> None:
    filler = "/var/lib/postgresql/data/filler"
    inside = ("exec", "postgres-0", "--", "sh", "-c")
    restarts = deployed.restarts("backend")
    with deployed.small_disk("160m"):
        with deployed.traffic("--rate", str(RATE)) as traffic:
            traffic.wait_for(UNDISTURBED)
            # Ends when there is no room left.
            deployed.kubectl(*inside, f"! dd if=/dev/zero of={filler} bs=1M")
            deployed.until("a request is told", lambda: any(record.error for record in traffic.records()))
            traffic.wait_for(UNDISTURBED)
            deployed.kubectl(*inside, f"rm {filler}")
            done = time.time()
            await_service(traffic, done)
        records = traffic.records()
        figures = deployed.figures(traffic)
        give(request.node.name, "the disk of PostgreSQL full", f"{RATE} a second", figures, recovery(records, done))
        assert figures.lost == [], figures
        said = details(records)
        assert "The database's disk is full" in said
        assert said <= {"The database's disk is full", AWAY, *WAITING}
        assert deployed.restarts("backend") == restarts


def details(records: Iterable[Record]) -> set[str]:
    """Return what the failed requests were told, without the advice."""
    return {json.loads(record.error)["detail"].partition(";")[0] for record in records if record.error}


def await_service(traffic: Traffic, since: float) -> None:
    """Return when SETTLED requests in a row went well that were due after that time."""
    while True:
        traffic.wait_for(RATE)
        newest = [record for record in traffic.records() if record.due > since][-SETTLED:]
        if len(newest) == SETTLED and not any(record.error for record in newest):
            return
