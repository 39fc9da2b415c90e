"""`make ci` on an application that is broken on purpose: it fails, and its last lines say what is broken and why."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.kubectl import kubectl
from tests.live_update.checkout import Edits, copy_checkout

# Seconds. Far more than a run takes: its duration is printed and decides nothing.
LIMIT = 900
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(LIMIT + 60)]

MIGRATION = '''"""Does not work."""

from alembic import op

revision = "drill"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE no_such_table ADD COLUMN drill integer")
'''

OPEN_PATH = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: drill-frontend
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/component: frontend
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/component: postgres
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: drill-postgres
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/component: postgres
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/component: frontend
"""


def crash(edits: Edits) -> None:
    edits.append("backend/app/main.py", '\nraise RuntimeError("this is a drill")\n')


def break_the_build(edits: Edits) -> None:
    edits.replace("docker/backend.Dockerfile", "FROM runtime AS migrate\n", "FROM runtime AS migrate\nRUN false\n")


def never_ready(edits: Edits) -> None:
    edits.replace("k8s/base/backend/deployment.yaml", "path: /readyz", "path: /nope")


def bad_migration(edits: Edits) -> None:
    edits.write("backend/migrations/versions/drill.py", MIGRATION)


def answer_with_an_error(edits: Edits) -> None:
    edits.append("backend/app/main.py", '\n\n@app.get("/drill")\ndef drill() -> int:\n    return 1 // 0\n')


def open_the_database(edits: Edits) -> None:
    edits.write("k8s/overlays/ci/drill.yaml", OPEN_PATH)
    edits.replace("k8s/overlays/ci/kustomization.yaml", "  - ../../base\n", "  - ../../base\n  - drill.yaml\n")


@dataclass(frozen=True)
class Drill:
    """What is broken, and what the summary has to say about it."""

    sabotage: Callable[[Edits], None]
    resource: str
    cause: str


DRILLS = (
    Drill(crash, "backend", "RuntimeError: this is a drill"),
    Drill(break_the_build, "migrate", 'process "/bin/sh -c false" did not complete'),
    Drill(never_ready, "backend", "Readiness probe failed: HTTP probe failed with statuscode: 404"),
    Drill(bad_migration, "migrate", 'relation "no_such_table" does not exist'),
    Drill(answer_with_an_error, "schema", "GET /drill: Server error"),
    Drill(open_the_database, "network-policy", "a frontend pod reached the database"),
)


@pytest.fixture(autouse=True, scope="module")
def clean_namespace() -> Iterator[None]:
    """A failed run leaves its namespace for inspection; the drills leave nothing."""
    yield
    result = kubectl("delete", "namespace", "todo-ci", "--ignore-not-found", timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.sabotage.__name__)
def test_failure_is_reported_with_its_cause(drill: Drill, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    drill.sabotage(Edits(checkout))
    started = time.monotonic()
    code, output = run_ci(checkout)
    print(f"{drill.sabotage.__name__}: verdict after {time.monotonic() - started:.0f} s")
    _, found, summary = output.rpartition("make ci: FAILED")
    print(summary)
    assert code != 0, output
    assert found, output
    # By the name of the resource, or of one of its pods.
    assert re.search(rf"^  (pod )?{drill.resource}[-:]", summary, re.MULTILINE), summary
    assert drill.cause in summary, summary
    assert missing_diagnostics(checkout / ".devenv" / "ci-report") == []


def run_ci(checkout: Path) -> tuple[int, str]:
    """Return the exit code of `make ci` in the checkout, and all that it printed."""
    command = [sys.executable, "-m", "devenv", "ci"]
    with subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=LIMIT)
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
    return process.returncode, output


def missing_diagnostics(report: Path) -> list[str]:
    """Return which of the promised files the report lacks or has empty."""
    wanted = ("tilt-snapshot.json", "events.txt", "describe.txt", "objects.txt", "*.log")
    return [name for name in wanted if not any(path.read_text().strip() for path in report.glob(name))]
