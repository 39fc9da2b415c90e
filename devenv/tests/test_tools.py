"""Which tool is used: one on PATH that is new enough, or the pinned one, which is brought."""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devenv import paths, tools, versions
from devenv.failure import Failure
from devenv.process import Log, output
from devenv.tests.release_host import ReleaseHost
from devenv.versions import Release

PINNED = "#!/bin/sh\necho pinned 1.2.3\n"
Install = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give it a PATH and a cache of its own, and release mode."""
    monkeypatch.setattr(paths, "BIN", tmp_path / "brought")
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (tmp_path / "brought", tmp_path / "own", "/usr/bin", "/bin"))))
    monkeypatch.setenv("DEVENV_SOURCE", "release")


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Return what puts a program on the machine's own PATH: its name and its script."""

    def install(name: str, script: str) -> Path:
        program = tmp_path / "own" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
        return program

    return install


@pytest.fixture
def pin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Return what makes a file at an address the pinned release of every tool, for every platform."""

    def pin(address: str, content: bytes) -> None:
        release = Release("1.2.3", address, AnyPlatform(hashlib.sha256(content).hexdigest()))
        monkeypatch.setattr(versions, "release", lambda _: release)

    return pin


class AnyPlatform(dict[str, str]):
    def __init__(self, sha256: str) -> None:
        super().__init__()
        self._sha256 = sha256

    def __missing__(self, _: str) -> str:
        return self._sha256


def archive(name: str) -> bytes:
    """Return a release as goreleaser packs it: the program beside its licence."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member, text in (("LICENSE", "free"), (name, PINNED)):
            info = tarfile.TarInfo(member)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


@pytest.mark.parametrize(
    ("script", "is_used"),
    (
        ("echo kind v1.2.3 go1.27.3 linux/amd64", True),
        ("echo kind v1.10.0 go1.27.3 linux/amd64", True),
        ("echo kind v1.2.2 go1.27.3 linux/amd64", False),
        ("echo who knows", False),
        ("exit 1", False),
    ),
    ids=("pinned", "newer", "older", "silent", "broken"),
)
def test_tool_on_path(
    script: str, *, is_used: bool, install: Install, pin: Callable[[str, bytes], None], log: Log
) -> None:
    with ReleaseHost(PINNED.encode()).running() as host:
        pin(host.address("right/kind"), host.content)
        own = install("kind", f"#!/bin/sh\n{script}\n")
        step = tools.KIND.step()
        assert step.is_done() == is_used
        if not is_used:
            step.run(log)
            assert step.is_done()
            assert output(["kind", "version"]) == "pinned 1.2.3"
        assert own.is_file()
        assert len(host.asked) == (0 if is_used else 1)


@pytest.mark.core
def test_archive_is_unpacked(pin: Callable[[str, bytes], None], log: Log) -> None:
    with ReleaseHost(archive("tilt")).running() as host:
        pin(host.address("right/tilt.tar.gz"), host.content)
        tools.TILT.step().run(log)
    assert [file.name for file in paths.BIN.iterdir()] == ["tilt"]
    assert output(["tilt", "version"]) == "pinned 1.2.3"


def test_wrong_file_is_never_there(pin: Callable[[str, bytes], None], log: Log) -> None:
    with ReleaseHost(archive("tilt")).running() as host:
        pin(host.address("right/tilt.tar.gz"), b"another")
        with pytest.raises(Failure, match="not the pinned"):
            tools.TILT.step().run(log)
    assert list(paths.BIN.iterdir()) == []
