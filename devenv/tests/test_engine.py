"""Which container engine is taken, and what is said of the others."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from devenv import apt, engine
from devenv.failure import Failure
from devenv.process import Log

Docker = Callable[..., None]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Return what puts a client on PATH that tells of such a server and such a context."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    def docker(version: str = "28.5.2", api: str = "1.51", name: str = "Engine", host: str = "unix:///run/x") -> None:
        server = {"Version": version, "ApiVersion": api, "Components": [{"Name": name, "Version": version}]}
        client = tmp_path / "docker"
        client.write_text(f"#!/bin/sh\ncase $1 in context) echo '{host}';; *) echo '{json.dumps(server)}';; esac\n")
        client.chmod(0o755)

    return docker


@pytest.mark.core
@pytest.mark.parametrize("host", ("unix:///home/a.b/.colima/default/docker.sock", "tcp://127.0.0.1:2375"))
def test_engine_of_this_machine(host: str, docker: Docker) -> None:
    docker(host=host)
    engine.ensure()


def test_oldest_engine(docker: Docker) -> None:
    docker("25.0.0", "1.44")
    engine.ensure()


@pytest.mark.parametrize(
    ("server", "cause"),
    (
        ({"version": "20.10.24", "api": "1.41"}, r"Docker Engine 20\.10\.24 is too old"),
        ({"version": "5.4.2", "api": "1.41", "name": "Podman Engine"}, "Podman answers in Docker's place"),
        ({"host": "ssh://me@elsewhere"}, "is set to ssh://me@elsewhere, another machine"),
    ),
    ids=("old", "podman", "remote"),
)
def test_engine_that_cannot_be_used(server: dict[str, str], cause: str, docker: Docker) -> None:
    docker(**server)
    with pytest.raises(Failure, match=cause):
        engine.ensure()


def test_other_machine_in_the_environment(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    docker()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(Failure, match=r"is set to tcp://192\.0\.2\.1:2376, another machine"):
        engine.ensure()


def test_without_root_and_engine_the_way_without_containers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "BIN", tmp_path)
    with pytest.raises(Failure) as failure:
        engine.ensure()
    assert "make dev" in failure.value.remedy


@pytest.mark.parametrize(
    "packages",
    ({"docker.io": ["docker", "dockerd"]}, {"docker.io": ["dockerd"], "docker-cli": ["docker"]}),
    ids=("client with the engine", "client apart"),
)
def test_engine_of_the_distribution_has_its_client(
    packages: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    def install(names: list[str], _: Log) -> None:
        for name in names:
            for program in packages[name]:
                (tmp_path / program).touch(mode=0o755)

    for program in ("apt-get", "iptables"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine, "BIN", tmp_path / "brought")
    monkeypatch.setattr(apt, "release", lambda: ("debian", "trixie"))
    monkeypatch.setattr(apt, "install", install)
    engine._bring(log)
    assert (tmp_path / "brought" / "docker").is_file()
    assert (tmp_path / "brought" / "dockerd").is_file()
