"""What lies behind links counts under the names that the application knows it by."""

import shutil
from pathlib import Path

import pytest

from sample_project import Project, atomically
from warmfork.snapshot.sources import Sources
from warmfork.watching.watcher import Watcher
from warmfork_server import Serve
from watched_tree import beside, save


@pytest.fixture
def watcher(tree: Path, lines: list[str]) -> Watcher:
    return Watcher([tree], report=lines.append)


def test_package_behind_a_link(tree: Path) -> None:
    shared = beside(tree, "shared")
    (tree / "shared").symlink_to("../../shared")
    watcher = Watcher([tree])
    sources = Sources([tree], [], (), ())
    for _ in range(2):
        save(shared / "value.py")
        assert watcher.read() == {tree / "shared" / "value.py"}
        assert sources.refresh({tree / "shared" / "value.py"}) == {tree / "shared" / "value.py"}
    (shared / "below").mkdir()
    save(shared / "below" / "new.py")
    assert tree / "shared" / "below" / "new.py" in watcher.read()


def test_link_comes_leads_elsewhere_and_goes(tree: Path, watcher: Watcher) -> None:
    first, second = beside(tree, "first"), beside(tree, "second")
    link, beside_link = tree / "shared", tree / ".shared"
    link.symlink_to(first)
    assert watcher.read() >= {link, link / "value.py"}
    beside_link.symlink_to(second)
    beside_link.rename(link)
    assert watcher.read() >= {link, link / "value.py"}
    save(first / "value.py")
    assert watcher.read() == set()
    save(second / "value.py")
    assert watcher.read() == {link / "value.py"}
    link.unlink()
    assert link in watcher.read()
    save(second / "value.py")
    assert watcher.read() == set()


def test_link_leads_to_what_comes_and_is_replaced(tree: Path, watcher: Watcher) -> None:
    target = tree.parent.parent / "releases" / "newest"
    (tree / "shared").symlink_to("../../releases/newest")
    watcher.read()
    for _ in range(2):
        target.mkdir(parents=True)
        watcher.read()
        save(target / "value.py")
        assert tree / "shared" / "value.py" in watcher.read()
        shutil.rmtree(target.parent)
        assert tree / "shared" in watcher.read()


def test_file_behind_links(tree: Path) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link through a link, which alone is replaced."""
    for name in ("..1", "..2"):
        (tree / name).mkdir()
        (tree / name / "settings.py").write_text(f'VALUE = "{name}"\n')
    (tree / "..data").symlink_to("..1")
    link = tree / "settings.py"
    link.symlink_to("..data/settings.py")
    watcher = Watcher([tree])
    sources = Sources([tree], [], (), ())
    (tree / "..new").symlink_to("..2")
    (tree / "..new").rename(tree / "..data")
    assert link in sources.refresh(watcher.read())
    save(tree / "..1" / "settings.py")
    assert watcher.read() == set()
    save(tree / "..2" / "settings.py")
    assert link in sources.refresh(watcher.read())


def test_links_in_a_ring(tree: Path) -> None:
    for name in ("left", "right"):
        (tree / name).mkdir()
        save(tree / name / "value.py")
    (tree / "left" / "right").symlink_to("../right")
    (tree / "right" / "left").symlink_to("../left")
    (tree / "all").symlink_to(".")
    (tree / "root").symlink_to("/")
    (tree / "itself.py").symlink_to("itself.py")
    (tree / "nothing.py").symlink_to("missing.py")
    watcher = Watcher([tree])
    sources = Sources([tree], [], (), ())
    save(tree / "left" / "value.py")
    expected = {tree / "left" / "value.py", tree / "right" / "left" / "value.py"}
    assert watcher.read() == expected
    assert sources.refresh(expected) == expected
    save(tree / "missing.py")
    assert watcher.read() == {tree / "missing.py", tree / "nothing.py"}


# --- hard links


def test_file_is_written_to_by_another_name(tree: Path) -> None:
    outside = beside(tree, "outside") / "value.py"
    inside, other = tree / "value.py", tree / "other.py"
    inside.hardlink_to(outside)
    watcher = Watcher([tree])
    save(outside)
    assert watcher.read() == {inside}
    other.hardlink_to(outside)
    assert watcher.read() >= {other}
    for name in (outside, inside, other):
        save(name)
        assert watcher.read() == {inside, other}
    inside.unlink()
    assert inside in watcher.read()
    save(outside)
    assert watcher.read() == {other}
    # From now on it is another file.
    (tree / "new.py").write_text("")
    (tree / "new.py").rename(other)
    assert other in watcher.read()
    save(outside)
    assert watcher.read() == set()


# --- with a server


def test_linked_package_is_served(tiny: Project, serve: Serve) -> None:
    shared = tiny.directory / "shared"
    shared.mkdir()
    (shared / "value.py").write_text("VALUE = 1\n")
    tiny.path("shared").symlink_to("../shared")
    tiny.write("version.py", "from tiny.shared.value import VALUE as VERSION\n")
    server = serve(tiny)
    for number in (2, 3):
        atomically(shared / "value.py", f"VALUE = {number}\n")
        server.until_text(str(number))
    server.until_reloads(2)
    assert server.reloaded_files() == ["tiny/shared/value.py"] * 2


def test_module_is_known_by_a_path_through_a_link(tree: Path) -> None:
    """As where PYTHONPATH holds a link to the project."""
    (tree.parent / "linked").symlink_to(tree)
    (tree / "linked.py").symlink_to("main.py")
    (tree / ".hidden").mkdir()
    sources = Sources([tree], [], (), ())
    assert sources.is_below(tree.parent / "linked" / "main.py")
    assert not sources.is_below(tree.parent / "linked" / ".hidden" / "main.py")
    assert not sources.is_below(tree.parent / "main.py")
    assert sources.get(tree.parent / "linked" / "main.py") == sources.get(tree / "main.py") is not None
    linked = sources.get(tree / "linked.py")
    assert linked is not None
    assert linked.path == tree / "linked.py"
