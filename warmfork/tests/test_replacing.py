"""Files are replaced all together or not at all."""

import os
import stat
from pathlib import Path

import pytest

from warmfork.control.contents import Content, Link, read
from warmfork.control.replacing import NotReplacedError, replace_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    for name in ("a.py", "b.py"):
        (folder / name).write_text(f"before, {name}")
    (folder / "link.py").symlink_to("a.py")
    return folder


def everything(folder: Path) -> dict[str, Content | str]:
    """Return what is below the folder, by its name; folders too."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): "folder" if path.is_dir() else read(path) for path in paths}


def test_all_are_replaced(folder: Path) -> None:
    (folder / "b.py").chmod(0o640)
    replace_all(
        {
            folder / "new" / "deep" / "c.py": b"new",
            folder / "a.py": None,
            folder / "b.py": b"after",
            folder / "link.py": Link("b.py"),
            folder / "gone.py": None,
            folder / "nowhere" / "gone.py": None,
        }
    )
    assert everything(folder) == {
        "b.py": b"after",
        "link.py": Link("b.py"),
        "new": "folder",
        "new/deep": "folder",
        "new/deep/c.py": b"new",
    }
    assert stat.S_IMODE((folder / "b.py").stat().st_mode) == 0o640


def test_a_link_and_a_file_take_each_others_place(folder: Path) -> None:
    replace_all({folder / "link.py": b"a file", folder / "b.py": Link("a.py")})
    assert (read(folder / "link.py"), read(folder / "b.py")) == (b"a file", Link("a.py"))
    assert read(folder / "a.py") == b"before, a.py"


def test_a_file_makes_room_for_a_folder(folder: Path) -> None:
    replace_all({folder / "a.py" / "b.py": b"inside", folder / "a.py": None})
    assert read(folder / "a.py" / "b.py") == b"inside"


@pytest.mark.parametrize("hard_links", (True, False), ids=("hard links", "no hard links"))
def test_none_is_replaced_when_one_cannot_be(
    hard_links: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    before = everything(folder)
    others: dict[Path, Content] = {
        folder / "a.py": b"after",
        folder / "b.py": None,
        folder / "link.py": Link("b.py"),
        folder / "new" / "c.py": b"new",
    }
    failing: dict[Path, Content] = {
        # Before anything has its place, because of a parent or of the name's length; and after the others had theirs.
        folder / "gone" / "d.py" / "e.py": b"",
        folder / ("n" * 250): b"",
        folder / "z": b"",
    }
    (folder / "gone").mkdir()
    (folder / "gone" / "d.py").write_text("")
    (folder / "z" / "full").mkdir(parents=True)
    before = everything(folder)
    for path, content in failing.items():
        with subtests.test(path=path.name):
            with pytest.raises(NotReplacedError, match=rf"{path} cannot be written: .*; nothing was changed$"):
                replace_all({**others, path: content})
            assert everything(folder) == before


def test_what_could_not_be_restored_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "z" / "full").mkdir(parents=True)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(NotReplacedError, match=rf"z cannot be written: .*; {folder / 'a.py'} could not be restored$"):
        replace_all({folder / "a.py": b"after", folder / "z": b""})


def test_what_an_interrupted_run_left_is_no_obstacle(folder: Path) -> None:
    for name in (".a.py.warmfork", ".a.py.warmfork-before"):
        (folder / name).write_text("left over")
    replace_all({folder / "a.py": b"after"})
    assert everything(folder) == {"a.py": b"after", "b.py": b"before, b.py", "link.py": Link("a.py")}
