"""Which files --reload-include and --reload-exclude name, and where they are looked for."""

from pathlib import Path

import pytest

from sample_project import Project, atomically
from warmfork.snapshot.patterns import Patterns, included_folders
from warmfork.snapshot.sources import Sources
from warmfork_server import Serve

HERE = Path("/home/.hidden/[project]")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    (
        ("*.html", ("a.html", "app/pages/b.html"), ("a.htm", "app/html")),
        ("names.txt", ("names.txt", "app/names.txt"), ("app/othernames.txt",)),
        ("templates/*.html", ("templates/a.html", "app/templates/a.html"), ("app/other/a.html", "templates/x/a.html")),
        ("templates/**/*.html", ("templates/a.html", "app/templates/x/y/a.html"), ("other/x/a.html",)),
        ("**/a.html", ("a.html", "x/y/a.html"), ("x/b.html",)),
        ("./pages/[ab].html", ("pages/a.html",), ("pages/c.html",)),
        ("../shared/*.txt", ("../shared/a.txt",), ("shared/a.txt",)),
        (f"{HERE.parent}/data/**", ("../data/a", "../data/x/b"), ("data/a",)),
    ),
)
def test_pattern(pattern: str, matching: tuple[str, ...], other: tuple[str, ...]) -> None:
    patterns = Patterns([pattern, "", "/"], HERE)
    for name in (*matching, *other):
        path = HERE.parent / name.removeprefix("../") if name.startswith("../") else HERE / name
        assert patterns.match(path) is (name in matching), name


def test_pattern_of_a_folder_is_about_all_that_is_in_it() -> None:
    patterns = Patterns(["generated", "app/tests/"], HERE)
    for name in ("generated/a.py", "app/generated/x/a.py", "app/tests/a.py", "app/tests/x/a.py"):
        assert patterns.match_with_folders(HERE / name, HERE), name
    for name in ("app/a.py", "tests/a.py", "app/tests.py"):
        assert not patterns.match_with_folders(HERE / name, HERE), name
    # Nor about what the folder itself lies in.
    assert not Patterns(["work", ".*"], HERE).match_with_folders(HERE / "a.py", HERE)


@pytest.mark.parametrize(
    ("pattern", "found"),
    (
        ("*.html", []),
        ("app/templates/*.html", []),
        ("templates/*.html", [("templates", False)]),
        ("templates/**/*.html", [("templates", True)]),
        ("pages/*/x.html", [("pages", True)]),
        ("**/*.html", [("", True)]),
        ("../shared/a.txt", [("../shared", False)]),
        ("emails", [("emails", True)]),
        ("", []),
    ),
)
def test_folders_that_patterns_are_about(
    pattern: str, found: list[tuple[str, bool]], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.parent)
    (tree.parent / "emails").mkdir()
    expected = [((tree.parent / name).resolve(), is_tree) for name, is_tree in found]
    assert [tuple(folder) for folder in included_folders([pattern], [tree])] == expected


def test_files_that_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    (tree.parent / "emails").mkdir()
    includes = ("*.css", "templates/*.html", "pages/**/*.html", "emails")
    sources = Sources([tree], [tree.parent], includes, ("skipped", "app/old/*.py"))
    counting = ("app/a.py", "app/a.css", "a.css", "app/templates/a.html", "templates/a.html", "pages/x/a.html")
    for name in (*counting, "emails/a.txt", "emails/x/a.txt"):
        assert sources.concerns(tree.parent / name), name
    not_counting = ("a.py", "templates/a.css", "other/a.css", "app/a.html", "pages/a.py", "app/skipped/x/a.py")
    for name in (*not_counting, "app/skipped/a.css", "app/old/a.py", "emails/.a.txt.swp", "emails/~a.txt"):
        assert not sources.concerns(tree.parent / name), name


def test_template_outside_of_the_reload_folder(tiny: Project, serve: Serve) -> None:
    """Its folder may come later; another page beside it does not count."""
    server = serve(tiny, "--reload-include", "templates/*.html", "--reload-exclude", "tiny/generated")
    templates = tiny.directory / "templates"
    templates.mkdir()
    (tiny.path("generated")).mkdir()
    tiny.write("generated/module.py", "")
    tiny.write("page.html", "other")
    for number in range(2):
        atomically(templates / "page.html", f"<p>{number}")
        server.until_reloads(number + 1)
    tiny.write("templates_page.html", "other")
    tiny.path("templates").mkdir()
    tiny.write("templates/page.html", "<p>")
    server.until_reloads(3)
    server.until_reloads(3)
    assert server.reloaded_files() == [*["templates/page.html"] * 2, "tiny/templates/page.html"]
