"""A system and a user other than this machine's: Debian 13, installed for the test from the machine's own mirror."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv import apt
from devenv.process import output
from tests.release.internet import Internet
from tests.release.machine import Machine

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

# What README asks for, but for Docker.
PACKAGES = ("ca-certificates", "git", "make", "python3")
# May use the engine, by a group.
USER = "anna.b"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    assert shutil.which("debootstrap"), "not installed here: debootstrap"
    root = tmp_path / "trixie"
    output(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "trixie", root, apt.mirror()])
    # To where nothing of this listens, at first.
    (root / "etc" / "hosts").write_text("::1 localhost\n127.0.0.1 localhost\n")
    return root


@pytest.fixture
def machine(system: Path, tmp_path: Path, served: Internet) -> Iterator[Machine]:
    with Machine(tmp_path / "machine", served, system=system) as machine:
        yield machine


def test_debian_13_has_one_cluster_for_all_users(machine: Machine, system: Path, served: Internet) -> None:
    """Root has the engine brought; others may use it, one after the other."""
    roots = served.checkout(machine.home / "todo")
    machine.make("ci", roots)

    added = machine.run("useradd", "--badname", "--create-home", "--groups=docker", USER)
    assert not added.returncode, added.stdout
    hers = Path("/home", USER, "todo")
    served.checkout(Path(f"{system}{hers}"))
    machine.run("chown", "--recursive", USER, str(hers))
    refused = machine.make("ci", hers, user=USER, succeeds=False)
    assert "another user of this machine has made it" in refused

    machine.make("clean", roots)
    machine.make("ci", hers, user=USER)
