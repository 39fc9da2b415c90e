"""What is told of folders, in whatever way they come, go and are replaced, and of those that may not be read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sample_project import Project
from warmfork.snapshot.sources import Sources
from warmfork.watching.watcher import Watcher
from warmfork_server import Serve
from watched_tree import beside, save


@pytest.fixture
def watcher(tree: Path, lines: list[str]) -> Watcher:
    return Watcher([tree], report=lines.append)


def test_folder_of_many_files_is_moved_away(tree: Path, watcher: Watcher) -> None:
    package = tree / "package"
    package.mkdir()
    for number in range(1_000):
        (package / f"module_{number}.py").write_text("")
    watcher.read()
    sources = Sources([tree], [], (), ())
    package.rename(tree.parent / "package")
    assert watcher.read() == {package}
    assert len(sources.refresh({package})) == 1_000
    save(tree.parent / "package" / "module_0.py")
    assert watcher.read() == set()


def test_tree_that_is_replaced(tree: Path, watcher: Watcher) -> None:
    shutil.rmtree(tree)
    assert tree in watcher.read()
    tree.mkdir()
    assert tree in watcher.read()
    assert watcher.read() == set()
    saved = save(tree / "main.py")
    assert watcher.read() == {saved}


def test_tree_whose_parent_is_replaced(tree: Path, lines: list[str]) -> None:
    watcher = Watcher([tree], report=lines.append)
    shutil.rmtree(tree.parent)
    assert tree in watcher.read()
    tree.parent.mkdir()
    tree.mkdir()
    watcher.read()
    assert watcher.read() == set()
    saved = save(tree / "main.py")
    assert watcher.read() == {saved}


def test_virtual_environment_is_left_out_also_when_it_is_made_later(tree: Path, watcher: Watcher) -> None:
    module = tree / "env" / "lib" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    assert module in watcher.read()
    (tree / "env" / "pyvenv.cfg").write_text("")
    assert tree / "env" in watcher.read()
    save(module)
    assert watcher.read() == set()
    other = Watcher([tree])
    save(module)
    assert other.read() == set()
    sources = Sources([tree], [], (), ())
    assert sources.find(str(tree / "main.py"))
    assert not sources.find(str(module))


@pytest.mark.parametrize("name", (".git", "__pycache__", "node_modules", "site-packages"))
def test_folder_of_a_tool_is_left_out(name: str, tree: Path, watcher: Watcher) -> None:
    (tree / name).mkdir()
    watcher.read()
    save(tree / name / "module.py")
    assert watcher.read() == set()


def test_events_were_lost_and_a_folder_has_gone(tree: Path, lines: list[str]) -> None:
    single = beside(tree, "single")
    watcher = Watcher([tree], [single], report=lines.append)
    other = tree / "other.py"
    other.write_text("")
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2 + 1):
        # In turns, because equal events that follow each other are one.
        os.utime(other)
        os.utime(tree / "main.py")
    shutil.rmtree(single)
    new = tree / "new" / "module.py"
    new.parent.mkdir()
    new.write_text("")
    assert watcher.read() >= {tree, tree / "main.py", new, single}
    assert watcher.read() == set()
    save(new)
    assert watcher.read() == {new}
    single.mkdir()
    saved = save(single / "value.py")
    assert saved in watcher.read()


# --- one more folder


def test_further_folder_is_watched_without_what_is_below(tree: Path, watcher: Watcher, lines: list[str]) -> None:
    data = beside(tree, "data")
    (data / "below").mkdir()
    watcher.add_folder(data)
    assert watcher.again_in == 0.0
    assert watcher.read() == {data, data / "value.py"}
    for _ in range(2):
        saved = save(data / "prices.json")
        save(data / "below" / "prices.json")
        assert watcher.read() == {saved}
        # Nothing new.
        watcher.add_folder(data)
        watcher.add_folder(tree)
        assert watcher.again_in is None
    assert lines == []


def test_further_folder_that_is_missing_is_waited_for(tree: Path, watcher: Watcher, lines: list[str]) -> None:
    data = tree.parent.parent / "later" / "data"
    watcher.add_folder(data)
    watcher.read()
    data.mkdir(parents=True)
    watcher.read()
    saved = save(data / "prices.json")
    assert watcher.read() == {saved}
    assert lines == []


# --- what may not be read

# Root would read it all the same.
UNTRUSTED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
AS_ANYBODY = UNTRUSTED if os.geteuid() == 0 else ()
UNPRIVILEGED = """
import os, sys
from pathlib import Path
from warmfork.parent.packages import Packages
from warmfork.snapshot.sources import Sources
from warmfork.watching.watcher import Watcher

tree = Path(sys.argv[1])
watcher = Watcher([tree], [tree / "secret"])
watcher.add_folder(tree / "secret" / "below")
sources = Sources([tree], [tree / "secret", tree / "half"], ("*.txt",), ())
Packages([tree / "secret"])
module = tree / "secret" / "module.py"
print(sources.follow({str(module): [0]}) == {module})
(tree / "secret").chmod(0o700)
found = watcher.read()
print(sorted(str(path.relative_to(tree)) for path in sources.refresh(found)))
"""


def test_folder_that_may_not_be_read(tree: Path) -> None:
    """It is left out, and counts from when it may be read."""
    secret = tree / "secret"
    (secret / "below").mkdir(parents=True)
    save(secret / "module.py")
    secret.chmod(0)
    half = beside(tree, "half")
    half.rename(tree / "half")
    (tree / "half").chmod(0o400)
    command = [*AS_ANYBODY, sys.executable, "-c", UNPRIVILEGED, str(tree)]
    source = str(Path(__file__).parents[1] / "src")
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": source}, check=True, capture_output=True, text=True)
    (tree / "half").chmod(0o700)
    assert run.stdout == "True\n['secret/module.py']\n"
    assert run.stderr == f"warmfork: {secret} may not be read, so what changes there is not noticed\n"


UNPRIVILEGED_ROOT = """
import sys
from pathlib import Path
from warmfork.watching.watcher import Watcher

tree = Path(sys.argv[1])
watcher = Watcher([tree])
tree.chmod(0o700)
print(tree / "main.py" in watcher.read())
(tree / "main.py").write_text("")
print(watcher.read() == {tree / "main.py"})
"""


def test_tree_that_may_not_be_read_at_the_start(tree: Path) -> None:
    tree.chmod(0)
    command = [*AS_ANYBODY, sys.executable, "-c", UNPRIVILEGED_ROOT, str(tree)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert run.stdout == "True\nTrue\n"
    assert run.stderr == f"warmfork: {tree} may not be read, so what changes there is not noticed\n"


@pytest.mark.parametrize("name", (".", "inner", ".."), ids=("itself", "below", "above"))
def test_reload_folder_that_may_not_be_read_for_a_while(name: str, tiny: Project, tmp_path: Path, serve: Serve) -> None:
    inner = tiny.path("inner")
    inner.mkdir()
    (inner / "number.py").write_text("NUMBER = 0\n")
    tiny.write("version.py", "from tiny.inner.number import NUMBER as VERSION\n")
    folder = (tiny.path(".") / name).resolve()
    options = ("--reload-dir", str(tiny.path(".")), "--app-dir", str(tiny.directory))
    server = serve(tiny, *options, directory=tmp_path, prefix=(*AS_ANYBODY, sys.executable))
    assert server.text() == "0"
    try:
        with (inner / "number.py").open("w") as file:
            folder.chmod(0)
            file.write("NUMBER = 1\n")
        server.until_reported("not reloaded")
        assert server.text() == "0"
        folder.chmod(0o755)
        server.until_text("1")
    finally:
        folder.chmod(0o755)
