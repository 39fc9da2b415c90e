import os
import socket
import stat
from pathlib import Path

import pytest

from devenv import cluster, credentials, paths
from devenv.failure import Failure
from devenv.source import REGISTRY, RELEASE, source
from tests.ports import reserved_port


def test_registry_only_mode_changes_two_images_of_the_declaration_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVENV_SOURCE", REGISTRY)
    monkeypatch.setattr(cluster, "_RENDERED", tmp_path / "ctlptl.yaml")
    committed = (paths.CHECKOUT / "ctlptl.yaml").read_text().splitlines()
    rendered = cluster._declaration().read_text().splitlines()
    changed = [new.strip() for old, new in zip(committed, rendered, strict=True) if old != new]
    assert [line.partition("/")[0] for line in changed] == ["image: todo-devenv", "image: todo-devenv"]


def test_release_mode_uses_the_declaration_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVENV_SOURCE", RELEASE)
    assert cluster._declaration() == paths.CHECKOUT / "ctlptl.yaml"


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVENV_SOURCE", "internet")
    with pytest.raises(Failure, match="neither release nor registry"):
        source()


def test_a_taken_port_is_reported_with_its_holder() -> None:
    with reserved_port() as port:
        with socket.create_server(("127.0.0.1", port)):
            assert f"process {os.getpid()}" in cluster.holder(port)
            with pytest.raises(Failure, match=f"port {port}\ncause: .*process {os.getpid()}.* the page needs it"):
                cluster.require_free(port, "the page")
        assert cluster.holder(port) == ""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(credentials, "_KEPT", tmp_path / "state" / "database.env")
    monkeypatch.setattr(credentials, "_FOR_KUSTOMIZE", tmp_path / "checkout" / "database.env")
    monkeypatch.setattr(credentials, "_FOR_COMPOSE", tmp_path / "checkout" / ".env")
    return tmp_path


def test_passwords_are_made_once_and_shared_by_all_checkouts(kept: Path) -> None:
    credentials.write()
    first = (kept / "checkout" / "database.env").read_text()
    (kept / "checkout" / "database.env").unlink()
    credentials.write()
    assert (kept / "checkout" / "database.env").read_text() == first
    passwords = [line.partition("=")[2] for line in first.splitlines()]
    assert len(set(passwords)) == 3
    assert min(map(len, passwords)) >= 32


def test_nobody_else_can_read_the_passwords(kept: Path) -> None:
    credentials.write_for_compose()
    for file in [kept / "state" / "database.env", *(kept / "checkout").iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_equal_passwords_wake_no_watcher(kept: Path) -> None:
    credentials.write()
    before = (kept / "checkout" / "database.env").stat()
    credentials.write()
    assert (kept / "checkout" / "database.env").stat().st_ino == before.st_ino


def test_rotation_changes_every_password(kept: Path) -> None:
    credentials.write()
    before = set((kept / "checkout" / "database.env").read_text().splitlines())
    credentials.write(rotate=True)
    assert not before & set((kept / "checkout" / "database.env").read_text().splitlines())
