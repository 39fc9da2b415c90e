"""While git rewrites files nothing is told, and nobody is kept waiting; a lock that it left does not count."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from warmfork.watching import git_lock
from warmfork.watching.watcher import Watcher
from watched_tree import save, told_until


@pytest.fixture
def watcher(tree: Path, lines: list[str]) -> Watcher:
    return Watcher([tree], report=lines.append)


def plain(tree: Path) -> Path:
    """Make the tree's parent a repository; return where its lock is."""
    (tree.parent / ".git").mkdir()
    return tree.parent / ".git" / "index.lock"


def linked_worktree(tree: Path) -> Path:
    place = tree.parent.parent / "main" / ".git" / "worktrees" / "project"
    place.mkdir(parents=True)
    (tree.parent / ".git").write_text(f"gitdir: {place}\n")
    return place / "index.lock"


def submodule(tree: Path) -> Path:
    """Make the tree itself a submodule, which names its place by a relative path."""
    place = tree.parent / ".git" / "modules" / "app"
    place.mkdir(parents=True)
    (tree / ".git").write_text("gitdir: ../.git/modules/app\n")
    return place / "index.lock"


def repository_around_a_submodule(tree: Path) -> Path:
    submodule(tree)
    return tree.parent / ".git" / "index.lock"


@pytest.fixture
def lock(tree: Path) -> Path:
    return plain(tree)


@pytest.fixture
def held(lock: Path) -> Iterator[BinaryIO]:
    """Return the lock as git holds it, until it is closed."""
    with lock.open("wb") as file:
        yield file


@pytest.mark.parametrize("kind", (plain, linked_worktree, submodule, repository_around_a_submodule))
def test_change_is_told_when_git_has_ended(kind: Callable[[Path], Path], tree: Path, watcher: Watcher) -> None:
    lock = kind(tree)
    with lock.open("wb"):
        save(tree / "main.py")
        assert watcher.read() == set()
        save(tree / "other.py")
        assert watcher.read() == set()
        again_in = watcher.again_in
        assert again_in is not None
        assert again_in > 0
    lock.rename(lock.with_name("index"))
    assert watcher.read() >= {tree / "main.py", tree / "other.py"}
    assert watcher.again_in is None


def test_change_is_told_when_git_has_been_killed(
    held: BinaryIO, tree: Path, watcher: Watcher, lines: list[str], lock: Path
) -> None:
    save(tree / "main.py")
    assert watcher.read() == set()
    held.close()
    assert watcher.read() == {tree / "main.py"}
    assert lines == []
    # Of one that has been there for some time it is said, once.
    os.utime(lock, (0, 0))
    for _ in range(2):
        save(tree / "main.py")
        assert watcher.read() == {tree / "main.py"}
    assert lines == [f"{lock} is held by no process; changes do not wait for it. Delete it if no git is running"]


def test_git_takes_long(
    held: BinaryIO, tree: Path, watcher: Watcher, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as it is there, and that is said once."""
    monkeypatch.setattr(git_lock, "_PATIENCE", 0.0)
    save(tree / "main.py")
    for _ in range(3):
        assert watcher.read() == set()
    assert lines == [f"changes wait for git, which is at work and holds {held.name}"]
    held.close()
    Path(held.name).unlink()
    assert watcher.read() == {tree / "main.py"}


@pytest.mark.usefixtures("held")
def test_holder_is_unknown(tree: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system: what is told ends with the last change for some time."""

    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("fcntl.fcntl", refuse)
    monkeypatch.setattr(git_lock, "_QUIET", 60.0)
    save(tree / "main.py")
    assert watcher.read() == set()
    assert watcher.again_in is not None
    monkeypatch.setattr(git_lock, "_QUIET", 0.01)
    assert told_until(watcher, tree / "main.py") == {tree / "main.py"}


def test_repository_of_a_folder_behind_a_link(tree: Path, watcher: Watcher) -> None:
    shared = tree.parent.parent / "shared" / "package"
    shared.mkdir(parents=True)
    (tree / "package").symlink_to(shared)
    watcher.read()
    (shared.parent / ".git").mkdir()
    with (shared.parent / ".git" / "index.lock").open("wb") as lock:
        save(shared / "value.py")
        assert watcher.read() == set()
    Path(lock.name).unlink()
    assert watcher.read() == {tree / "package" / "value.py"}


@pytest.mark.parametrize("content", (b"", b"gitdir", b"gitdir: /missing\n", b"\xff\xfe"))
def test_file_that_names_no_place(content: bytes, tree: Path, watcher: Watcher) -> None:
    (tree.parent / ".git").write_bytes(content)
    save(tree / "main.py")
    assert watcher.read() == {tree / "main.py"}
