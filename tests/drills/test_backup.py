"""The database's StatefulSet is deleted, then its volume is lost: the data are there again, every row as it was."""

from pathlib import Path

import pytest

from devenv import backup
from devenv.failure import Failure
from tests.drills.deployment import Deployment, apply

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CONTENT = "SELECT count(*), md5(string_agg(todo::text, '|' ORDER BY id)) FROM todo"
CLAIM = "persistentvolumeclaim/data-postgres-0"


@pytest.fixture
def deployed(deployed: Deployment) -> Deployment:
    with deployed.traffic("--rate", "50") as traffic:
        traffic.wait_for(200)
    return deployed


def delete_statefulset(deployed: Deployment) -> None:
    deployed.kubectl("delete", "statefulset/postgres")
    deployed.kubectl("wait", "pod/postgres-0", "--for=delete", "--timeout=120s")


def test_data_outlive_the_statefulset(deployed: Deployment) -> None:
    before = deployed.psql(CONTENT)
    delete_statefulset(deployed)
    apply(deployed)
    deployed.await_all()
    assert deployed.psql(CONTENT) == before


def test_lost_volume_is_restored(deployed: Deployment, tmp_path: Path) -> None:
    before = deployed.psql(CONTENT)
    dump = backup.backup(deployed.namespace, tmp_path)
    with deployed.traffic() as traffic:
        traffic.wait_for(50)
    delete_statefulset(deployed)
    deployed.kubectl("delete", CLAIM)
    apply(deployed)
    deployed.await_all()
    assert deployed.psql("SELECT count(*) FROM todo") == "0"
    backup.restore(dump, deployed.namespace)
    assert deployed.psql(CONTENT) == before
    # And it can be gone on with: rights and sequences are there as well.
    with deployed.traffic() as traffic:
        traffic.wait_for(100)
    assert [record.error for record in traffic.records() if record.error] == []
    with pytest.raises(ConnectionError, match="permission denied for table alembic_version"):
        deployed.psql_as_backend("DELETE FROM alembic_version")


def test_spoiled_dump_changes_nothing(deployed: Deployment, tmp_path: Path) -> None:
    dump = backup.backup(deployed.namespace, tmp_path)
    before = deployed.psql(CONTENT)
    dump.write_bytes(dump.read_bytes()[:-100])
    with pytest.raises(Failure, match="its content is not what"):
        backup.restore(dump, deployed.namespace)
    dump.with_name(f"{dump.name}.sha256").unlink()
    with pytest.raises(Failure, match="pg_restore"):
        backup.restore(dump, deployed.namespace)
    assert deployed.psql(CONTENT) == before


def test_nightly_dump_is_made_and_the_oldest_goes(deployed: Deployment) -> None:
    for number in range(2):
        job = f"backup-now-{number}"
        deployed.kubectl("create", "job", job, "--from=cronjob/backup")
        deployed.kubectl("wait", f"job/{job}", "--for=condition=Complete", "--timeout=120s", timeout=130)
        said = deployed.kubectl("logs", f"job/{job}")
        assert f"is one of {number + 1}" in said
