"""A file comes whole and right, or not at all, with the cause."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv import download as module
from devenv.download import download
from devenv.failure import Failure
from devenv.process import Log
from devenv.tests.release_host import BEGINNING, ReleaseHost

CONTENT = b"#!/bin/sh\necho a program\n" * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.2)


@pytest.fixture
def host() -> Iterator[ReleaseHost]:
    with ReleaseHost(CONTENT).running() as host:
        yield host


@pytest.mark.core
@pytest.mark.parametrize("way", ("right", "moved"))
def test_file_that_is_right(way: str, host: ReleaseHost, tmp_path: Path, log: Log) -> None:
    download(host.address(way), SHA256, tmp_path / "bin" / "program", log)
    (program,) = (tmp_path / "bin").iterdir()
    assert program.read_bytes() == CONTENT
    assert program.stat().st_mode & 0o111
    assert log.remark == "0.2 of 0.2 MiB"


@pytest.mark.parametrize(
    ("way", "sha256", "cause"),
    (
        ("right", "0" * 64, f"its sha256 is {SHA256}, not the pinned 0000"),
        ("truncated", SHA256, f"it ended after {BEGINNING} of {len(CONTENT)} bytes"),
        ("absent", SHA256, "the server answers 404 Not Found"),
        ("silent", SHA256, "nothing came for 0.2 s"),
    ),
)
def test_file_that_is_not(way: str, sha256: str, cause: str, host: ReleaseHost, log: Log) -> None:
    program = log.path.with_name("program")
    program.write_text("an older one")
    with pytest.raises(Failure) as failure:
        download(host.address(way), sha256, program, log)
    assert cause in failure.value.why
    assert host.address(way) in failure.value.what
    assert program.read_text() == "an older one"
    assert not program.with_name("program.part").exists()


def test_host_that_does_not_answer(tmp_path: Path, log: Log) -> None:
    with ReleaseHost(CONTENT).running() as host:
        address = host.address("right")
    with pytest.raises(Failure, match="Connection refused"):
        download(address, SHA256, tmp_path / "program", log)


def test_proxy_is_asked_and_left_out(
    host: ReleaseHost, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", host.address(""))
    monkeypatch.setenv("no_proxy", "")
    download("http://release.invalid/right", SHA256, tmp_path / "program", log)
    assert host.asked == ["http://release.invalid/right"]
    monkeypatch.setenv("no_proxy", "release.invalid")
    with pytest.raises(Failure, match=r"release\.invalid"):
        download("http://release.invalid/right", SHA256, tmp_path / "program", log)
