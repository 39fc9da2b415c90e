"""A deployment with a migration: old code serves on with the new schema, and goes on if the migration fails."""

from pathlib import Path

import pytest

from tests.drills.deployment import TAGS, Deployment, apply, build
from tests.drills.verdict import give
from tests.live_update.checkout import Edits, copy_checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RATE = 50  # a second
MIGRATION = '''"""Made by a drill."""

from alembic import op

revision = "drill"
down_revision = "0001"


def upgrade() -> None:
    op.execute("{statement}")


def downgrade() -> None:
    op.execute("ALTER TABLE todo DROP COLUMN drill")
'''


def built(tag: str, statement: str, folder: Path) -> str:
    """Build images whose code brings a migration; return their tag."""
    checkout = copy_checkout(folder / "checkout")
    Edits(checkout).write("backend/migrations/versions/drill.py", MIGRATION.format(statement=statement))
    build(tag, checkout)
    return tag


def test_migration_that_fails_stops_the_rollout_and_nothing_else(
    deployed: Deployment, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tag = built(f"{TAGS[0]}-bad", "ALTER TABLE no_such_table ADD COLUMN drill integer", tmp_path)
    before = set(deployed.pods("backend"))
    try:
        with deployed.traffic("--rate", str(RATE)) as traffic:
            apply(deployed, tag)
            deployed.kubectl("wait", "job/migrate", "--for=condition=Failed", "--timeout=120s", timeout=130)
            deployed.until("a new pod says why it is not ready", lambda: deployed.unready("backend"))
            # As long as a probe needs to be sure of itself, and more.
            traffic.wait_for(20 * RATE)
            after = set(deployed.pods("backend"))
    finally:
        apply(deployed)
        deployed.await_all()
    figures = deployed.figures(traffic)
    give(request.node.name, "a migration that fails", f"{RATE} a second", figures)
    assert before < after
    assert (figures.failed, figures.lost) == (0, []), figures


def test_migration_and_rollout_cost_no_request(
    deployed: Deployment, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tag = built(f"{TAGS[0]}-good", "ALTER TABLE todo ADD COLUMN drill integer", tmp_path)
    try:
        with deployed.traffic("--rate", str(RATE)) as traffic:
            traffic.wait_for(RATE)
            apply(deployed, tag)
            deployed.await_all()
            traffic.wait_for(2 * RATE)
            # Back to code that does not know the column: what a rollback after a bad release is.
            deployed.kubectl("set", "image", "deployment/backend", f"backend={deployed.image(TAGS[0])}")
            deployed.await_rollout("deployment/backend")
            traffic.wait_for(RATE)
    finally:
        # For the drills that come after: the code of this checkout knows no such revision.
        deployed.psql("ALTER TABLE todo DROP COLUMN IF EXISTS drill")
        deployed.psql("UPDATE alembic_version SET version_num = '0001'")
    figures = deployed.figures(traffic)
    give(
        request.node.name, "a migration, the code that needs it, and that code taken back", f"{RATE} a second", figures
    )
    assert (figures.failed, figures.lost) == (0, []), figures
