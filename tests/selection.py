"""A pytest plugin: `--changed` runs what a change against main touches, and the core; each run ends with its times.

`--numprocesses auto` means two for each core, for tests wait for other processes.

A changed file touches the tests of its folder, by the table below, and every test file that imports it, directly or
not. What neither the table nor an import can tell touches everything.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = PurePosixPath()

_WARMFORK = PurePosixPath("warmfork/src/warmfork")
_WITH_WARMFORK = ("fastlane/tests/test_warmfork.py", "bench/tests/test_servers.py")


def _warmfork(*names: str) -> tuple[str, ...]:
    """Return warmfork's tests of these names."""
    return tuple(f"warmfork/tests/test_{name}.py" for name in names)


# What starts with the path on the left is used by these tests without being imported: read, rendered, started as a
# program. The longest path counts. Where there are no tests, `make lint` and those of the running cluster look at it.
USERS: Mapping[str, tuple[str, ...]] = {
    "backend": ("backend/tests",),
    "bench": ("bench/tests",),
    "dashboard": ("dashboard/tests",),
    "devenv": ("devenv/tests",),
    "docker": ("frontend/tests/test_browser_reload.py", "tests/manifests"),
    "fastlane": ("fastlane/tests",),
    "frontend": ("frontend/tests", "backend/tests/test_dev.py", "bench/tests/test_page.py"),
    "k8s": ("tests/manifests", "tests/smoke"),
    "warmfork": ("warmfork/tests", *_WITH_WARMFORK, "fastlane/tests/test_equality.py"),
    # Nearly every test there starts all of it. What each part is there for, the tests of these files ask; those that
    # are not named run with each part.
    "warmfork/src/warmfork": (
        *_warmfork("connections", "control", "failures", "fallback", "logs", "options", "parent", "signals", "sockets"),
        *_warmfork("started_at_import", "status", "tls", "uvicorn_versions"),
        *_WITH_WARMFORK,
    ),
    "warmfork/src/warmfork/child": (
        *_warmfork("edits", "environment", "failures", "frameworks", "harmful_imports", "order", "parent", "prefault"),
        *_warmfork("reads", "started_at_import", "swap", "what_is_depended_on"),
        "warmfork/tests/differential",
    ),
    "warmfork/src/warmfork/control": (
        *_warmfork("control", "digests", "replacing"),
        *_WITH_WARMFORK,
        "fastlane/tests/test_equality.py",
    ),
    "warmfork/src/warmfork/parent": (
        *_warmfork("connections", "edits", "failures", "git", "harmful_imports", "parent", "policy"),
        *_warmfork("preparation", "signals", "sockets", "started_at_import", "status", "swap"),
        *_WITH_WARMFORK,
    ),
    "warmfork/src/warmfork/server": _warmfork(
        *("connections", "failures", "frameworks", "logs", "options", "signals", "sockets", "status", "tls"),
        "uvicorn_versions",
    ),
    "warmfork/src/warmfork/snapshot": (
        *_warmfork("digests", "edits", "half_written", "links", "order", "packages", "patterns", "random_edits"),
        *_warmfork("reads", "special_files", "swap", "what_is_depended_on"),
        "warmfork/tests/differential",
    ),
    "warmfork/src/warmfork/watching": (
        *_warmfork("edits", "fallback", "git", "git_lock", "half_written", "links", "patterns", "random_edits"),
        *_warmfork("special_files", "watch_limits", "watching"),
        *_WITH_WARMFORK,
    ),
    "ctlptl.yaml": ("devenv/tests", "tests/manifests"),
    ".ci": (),
    ".dockerignore": (),
    ".gitattributes": (),
    ".github": ("tests/workflow",),
    ".gitignore": (),
    ".hadolint.yaml": (),
    ".yamllint.yaml": (),
    "LICENSE": (),
    "Makefile": (),
    "Tiltfile": (),
    "docs": (),
    "tests/drills": (),
    "tests/e2e": (),
    "tests/faults": (),
    "tests/lint.py": (),
    "tests/live_update": (),
    "tests/release": (),
    "tests/steady.py": (),
    "tilt": (),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--changed`."""
    parser.addoption("--changed", action="store_true", help="run what the change against main touches, and the core")


def pytest_configure(config: pytest.Config) -> None:
    """Choose, once in each process."""
    if config.getoption("--changed"):
        config.pluginmanager.register(_Selection(touched(changed_files())))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Times())


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Keep the cores busy."""
    return 2 * len(os.sched_getaffinity(0))


def changed_files() -> list[PurePosixPath]:
    """What differs from main, committed or not; relative to the root."""
    main = next(name for name in ("origin/main", "main", "HEAD") if _git("rev-parse", "--verify", "--quiet", name))
    base = _git("merge-base", "HEAD", main).strip()
    names = _git("diff", "--name-only", "--no-renames", "-z", base) + _git(
        "ls-files", "--others", "--exclude-standard", "-z"
    )
    return [PurePosixPath(name) for name in sorted({*names.split("\0")} - {""})]


def touched(changed: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """The files and folders of tests that the changed files touch; EVERYTHING where that cannot be told."""
    dependents = _dependents()
    return {tests for path in changed for tests in _tests_of(path, dependents)}


def _tests_of(path: PurePosixPath, dependents: Mapping[PurePosixPath, list[PurePosixPath]]) -> set[PurePosixPath]:
    if path.suffix == ".md":
        return set()
    importers = _importers(path, dependents)
    folders = path.parts[:-1]
    if "tests" in folders[1:]:
        # A test, or what tests import; otherwise what they read, copy or start.
        return importers or {PurePosixPath(*folders[: folders.index("tests") + 1])}
    for above in (path, *path.parents):
        if str(above) in USERS:
            found = importers | {PurePosixPath(name) for name in USERS[str(above)]}
            return found | _of_no_part() if _WARMFORK in (above, *above.parents) else found
    return importers or {EVERYTHING}


def _of_no_part() -> set[PurePosixPath]:
    """Return warmfork's tests that the table gives to no part of it: they run with each."""
    parts = [users for name, users in USERS.items() if _WARMFORK in (PurePosixPath(name), *PurePosixPath(name).parents)]
    files = {PurePosixPath(path.relative_to(ROOT)) for path in (ROOT / "warmfork" / "tests").glob("test_*.py")}
    return files - {PurePosixPath(user) for users in parts for user in users}


def _importers(path: PurePosixPath, dependents: Mapping[PurePosixPath, list[PurePosixPath]]) -> set[PurePosixPath]:
    """Return the test files that import the file, directly or not; of what pytest imports for a folder, the folder."""
    found, waiting = {path}, [path]
    while waiting:
        new = set(dependents.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    files = {one for one in found if one.name.startswith("test_") and (ROOT / one).exists()}
    return files | {one.parent for one in found if one.name == "conftest.py"}


@cache
def _dependents() -> dict[PurePosixPath, list[PurePosixPath]]:
    """Return for each Python file the files that import it."""
    ruff = [str(Path(sys.executable).with_name("ruff")), "analyze", "graph", "--quiet", "--direction", "dependents"]
    graph = json.loads(subprocess.run(ruff, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    return {PurePosixPath(name): [PurePosixPath(other) for other in others] for name, others in graph.items()}


def _git(*arguments: str) -> str:
    """Return what git prints; nothing when it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True).stdout


class _Selection:
    """Deselects what the change does not touch, except for tests that are marked as core."""

    def __init__(self, touched: set[PurePosixPath]) -> None:
        self._touched = touched

    def pytest_report_header(self) -> str:
        what = "everything" if EVERYTHING in self._touched else f"{len(self._touched)} files and folders of tests"
        return f"touched by the change against main: {what}; the core runs in any case"

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave a file alone that has nothing to run: importing all of them takes longer than the core."""
        is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
        if is_test and not self._touches(collection_path) and "mark.core" not in collection_path.read_text():
            return True
        return None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if self._touches(item.path) or item.get_closest_marker("core")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def _touches(self, path: Path) -> bool:
        relative = PurePosixPath(path.relative_to(ROOT))
        return bool(self._touched & {relative, *relative.parents})


class _Times:
    """Sums up what the tests of each folder took."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = report.nodeid.partition("::")[0].rpartition("/")[0]
        self._seconds[folder] += report.duration
        self._tests[folder].add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("seconds of all workers per folder")
        for folder in sorted(self._seconds, key=lambda name: -self._seconds[name]):
            terminalreporter.line(f"{self._seconds[folder]:7.1f} s {len(self._tests[folder]):5} tests  {folder}")
