"""A migration that a test adds to the checkout's, and how the database is rid of it."""

import contextlib
import subprocess
import sys

from tests.e2e.kubectl import kubectl
from tests.live_update.application import NAMESPACE, psql
from tests.live_update.checkout import CHECKOUT

REVISION = "live_update"
FILE = f"backend/migrations/versions/{REVISION}.py"
TEXT = f'''"""Describe the table todo."""

from alembic import op

revision = "{REVISION}"
down_revision = "0001"


def upgrade() -> None:
    """Give the table a comment."""
    op.execute("COMMENT ON TABLE todo IS 'live update'")
'''
_REVISION = "SELECT version_num FROM alembic_version"
_TAKE_BACK = "COMMENT ON TABLE todo IS NULL; UPDATE alembic_version SET version_num = '0001'"


def revision() -> str:
    """Return the database's revision."""
    return psql(_REVISION)


def take_back() -> None:
    """Undo the migration, if it was applied."""
    if revision() == REVISION:
        psql(_TAKE_BACK)


def forget_interrupted_run() -> None:
    """Undo it where an earlier run of the tests was killed before it could; no checkout knows the revision."""
    subprocess.run([sys.executable, "-m", "devenv", "prepare"], cwd=CHECKOUT, check=True)
    # Nothing to undo in a cluster that has no database, or in a database without tables.
    database = ("rollout", "status", "statefulset/postgres", "--timeout=60s")
    if kubectl("--namespace", NAMESPACE, *database, timeout=90).returncode == 0:
        with contextlib.suppress(ConnectionError):
            take_back()
