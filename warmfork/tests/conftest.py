"""Sample projects, and servers on them that leave nothing behind."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sample_project import Project
from warmfork_server import Serve, Server

# pytest takes the folder above these tests for the package of that name, which is in src.
if sys.modules["warmfork"].__file__ is None:
    del sys.modules["warmfork"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server and returns it once it answers; takes what Server takes."""
    with ExitStack() as servers:

        def start(project: Project, *options: str, **others: Any) -> Server:  # noqa: ANN401
            server = Server(project, *options, **others)
            # For pytest to show with a failure.
            servers.callback(lambda: sys.stderr.write(server.log))
            servers.callback(server.stop)
            server.await_start()
            return server

        yield start


@pytest.fixture
def tiny(tmp_path: Path) -> Project:
    """Return a project that starts quickly and answers in every way."""
    return Project(tmp_path / "project", "tiny")


@pytest.fixture
def lattice(tmp_path: Path) -> Project:
    """Return a project whose modules take values from each other."""
    return Project(tmp_path / "project", "lattice")


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """Return a project of the usual size and shape: FastAPI, SQLModel, settings."""
    return Project(tmp_path / "project", "shop")


@pytest.fixture
def lines() -> list[str]:
    """Return what a watcher reports."""
    return []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with a module in it, to be watched without a server."""
    tree = tmp_path / "project" / "app"
    tree.mkdir(parents=True)
    (tree / "main.py").write_text("VALUE = 0\n")
    return tree
