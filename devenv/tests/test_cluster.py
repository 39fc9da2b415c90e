import os
import socket
import stat
import subprocess
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


@pytest.mark.parametrize(("addresses", "found"), ((["::1"], "leads to ::1,"), ([], "leads to nothing,")))
def test_loopback_name_that_leads_elsewhere_is_told(
    addresses: list[str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object) -> list[tuple[object, ...]]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 0, 0, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Failure, match=found):
        cluster.ensure()


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
    made = passwords(kept).values()
    assert len(set(made)) == 4
    assert min(map(len, made)) >= 32


def test_nobody_else_can_read_the_passwords(kept: Path) -> None:
    credentials.write_for_compose()
    for file in [kept / "state" / "database.env", *(kept / "checkout").iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_equal_passwords_wake_no_watcher(kept: Path) -> None:
    credentials.write()
    before = (kept / "checkout" / "database.env").stat()
    credentials.write()
    assert (kept / "checkout" / "database.env").stat().st_ino == before.st_ino


def test_rotation_changes_every_password(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "succeeds", lambda *_, **__: False)
    credentials.write()
    before = passwords(kept)
    credentials.rotate()
    after = passwords(kept)
    # The backend's is the one that its pods knew to be the next.
    assert after.pop("app_password") == before.pop("app_password_next")
    assert not set(after.values()) & set(before.values())


def test_database_that_does_not_take_the_passwords_keeps_the_old_ones(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = subprocess.CompletedProcess("", 1, stdout="", stderr="roles.sh: it is full")
    monkeypatch.setattr(credentials, "succeeds", lambda *_, **__: True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    credentials.write()
    before = passwords(kept)
    with pytest.raises(Failure, match="it is full"):
        credentials.rotate()
    assert passwords(kept) == before


def test_cluster_whose_passwords_are_not_kept_is_left_alone(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "exists", lambda: True)
    with pytest.raises(Failure, match="cluster kind-todo\ncause: another user of this machine has made it"):
        credentials.require_known()
    assert list(kept.iterdir()) == []
    assert not credentials.are_known()
    credentials.write()
    credentials.require_known()


def test_passwords_of_a_cluster_to_come_need_not_be_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "exists", lambda: False)
    credentials.require_known()
    assert list(kept.iterdir()) == []


def test_passwords_of_before_there_was_a_next_are_kept(kept: Path) -> None:
    credentials.write()
    file = kept / "state" / "database.env"
    before = passwords(kept)
    file.write_text("".join(f"{name}={value}\n" for name, value in before.items() if name != "app_password_next"))
    credentials.write()
    after = passwords(kept)
    assert after.pop("app_password_next") != before.pop("app_password_next")
    assert after == before


def passwords(kept: Path) -> dict[str, str]:
    lines = (kept / "checkout" / "database.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("environment", "without"),
    (
        ({"NO_PROXY": "localhost"}, None),
        ({"https_proxy": "http://proxy:3128"}, "todo-registry"),
        (
            {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,10.0.0.0/8"},
            "localhost,10.0.0.0/8,todo-registry",
        ),
        # kind looks at the capital ones first.
        ({"HTTP_PROXY": "http://proxy", "NO_PROXY": "capital", "no_proxy": "small"}, "capital,todo-registry"),
    ),
)
def test_node_asks_the_registry_without_a_proxy(environment: dict[str, str], without: str | None) -> None:
    assert cluster.without_proxy(environment) == ({"NO_PROXY": without, "no_proxy": without} if without else {})
