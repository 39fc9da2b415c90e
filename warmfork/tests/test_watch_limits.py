"""The kernel has no watch left: folders are looked at instead, and that is said."""

import errno
import shutil
import sys
from pathlib import Path

import pytest

from sample_project import Project
from warmfork.watching import polling
from warmfork.watching.inotify import Inotify
from warmfork.watching.watcher import Watcher
from warmfork_server import Serve
from watched_tree import save, told_until

LIMITED = """
import errno, sys
from warmfork import command
from warmfork.watching.inotify import Inotify

add_folder = Inotify.add_folder

def add(self, folder, **options):
    if str(folder).endswith("limited"):
        raise OSError(errno.ENOSPC, "No space left on device")
    return add_folder(self, folder, **options)

Inotify.add_folder = add
if __name__ == "__main__":
    command.main(sys.argv[3:])
"""


def test_server_goes_on_when_watches_run_out(tiny: Project, serve: Serve) -> None:
    server = serve(tiny, prefix=(sys.executable, "-c", LIMITED))
    tiny.path("limited").mkdir()
    tiny.path("limited/__init__.py").touch()
    server.until_reported("^no inotify watch is left; raise the limit: sysctl ")
    tiny.replace("version.py", "VERSION = 0", "VERSION = 1")
    server.until_text("1")
    tiny.write("limited/value.py", "VALUE = 2\n")
    # Alone, or with the file that was made before.
    server.until_reported(r"tiny/limited/value\.py: reloaded in")
    tiny.write("version.py", "from tiny.limited.value import VALUE as VERSION\n")
    server.until_text("2")
    tiny.write("limited/value.py", "VALUE = 3\n")
    server.until_text("3")
    assert len(server.reports("sysctl")) == 1


def limit_watches(monkeypatch: pytest.MonkeyPatch, maximum: int) -> list[int]:
    """Let the kernel have so many watches of folders; return a list of that number, which may be changed."""
    limit = [maximum]
    given: list[Path] = []
    add_folder = Inotify.add_folder

    def add(self: Inotify, folder: Path, *, names_only: bool = False) -> int:
        if folder not in given and len(given) >= limit[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        watch = add_folder(self, folder, names_only=names_only)
        given.append(folder)
        return watch

    monkeypatch.setattr(Inotify, "add_folder", add)
    return limit


def test_folder_without_a_watch_is_looked_at(tree: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_PAUSE", 0.01)
    limit = limit_watches(monkeypatch, 2)
    watcher = Watcher([tree], report=lines.append)
    assert (lines, watcher.again_in) == ([], None)
    package = tree / "package"
    (package / "below").mkdir(parents=True)
    module, below = save(package / "module.py"), save(package / "below" / "module.py")
    assert watcher.read() >= {module, below}
    assert len(lines) == 1
    assert "sysctl fs.inotify.max_user_watches=" in lines[0]

    assert told_until(watcher, save(module)) == {module}
    (package / "new").mkdir()
    new = save(package / "new" / "module.py")
    assert new in told_until(watcher, new)
    module.unlink()
    assert told_until(watcher, module) == {module}
    shutil.rmtree(package / "below")
    assert told_until(watcher, package / "below") >= {package / "below"}

    # What happened before there were watches again is told, too, and from then on the kernel tells.
    limit[0] = 100
    assert told_until(watcher, save(new)) == {new}
    assert watcher.again_in is None
    save(new)
    assert watcher.read() == {new}
    assert len(lines) == 1


def test_no_watch_is_left_at_the_start(tree: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    limit_watches(monkeypatch, 0)
    watcher = Watcher([tree], report=lines.append)
    assert told_until(watcher, save(tree / "main.py")) == {tree / "main.py"}
    assert len(lines) == 1
