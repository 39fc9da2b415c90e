"""Servers for tests on data that are made once for all workers of a run, and copied: that takes a third of the time."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from dev.database import Postgres


def new_server(factory: pytest.TempPathFactory, folder: Path) -> Postgres:
    """Return a server, not started yet, in whose folder are the data of a new one."""
    template = _template(factory)
    folder.mkdir(exist_ok=True)
    # With the owner, for PostgreSQL refuses data of others.
    subprocess.run(["cp", "--archive", template / "cluster", template / "password", folder], check=True)
    return Postgres(folder, durable=False)


def _template(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    # The workers of one run have neighbouring folders.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    template = shared / "new-server"
    with (shared / "new-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            with Postgres(shared / "new-server.part", durable=False):
                pass
            (shared / "new-server.part").rename(template)
    return template
