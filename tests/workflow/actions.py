"""What stands here for each action that a workflow uses. An action without an equivalent fails its step."""

import shutil
from collections.abc import Callable, Mapping

from devenv import python
from tests.workflow.jobs import UnknownError
from tests.workflow.runner import Runner


def checkout(runner: Runner, given: Mapping[str, str]) -> None:
    """Clone the commit, as deep as is asked for; with all of history comes the remote's main."""
    depth = int(given.get("fetch-depth", 1))
    refs = [f"+{runner.sha}:refs/remotes/origin/workflow"]
    if not depth:
        refs += ["+refs/heads/main:refs/remotes/origin/main"]
    runner.run("git", "init", "--quiet")
    runner.run("git", "remote", "add", "origin", f"file://{runner.repository}")
    runner.run("git", "fetch", "--quiet", *([f"--depth={depth}"] if depth else []), "origin", *refs)
    runner.run("git", "checkout", "--quiet", "--detach", "origin/workflow")


def setup_python(runner: Runner, given: Mapping[str, str]) -> None:
    """Put the version first on PATH: the one that the development environment runs with."""
    interpreter = python.venv_python().resolve()
    if interpreter.name != f"python{given['python-version']}":
        raise UnknownError(f"Python {given['python-version']}: the development environment has {interpreter.name}")
    for name in ("python", "python3"):
        # No link: Python would look for its library beside that.
        program = runner.programs / name
        program.write_text(f'#!/bin/sh\nexec "{interpreter}" "$@"\n')
        program.chmod(0o755)


def upload_artifact(runner: Runner, given: Mapping[str, str]) -> None:
    """Copy the folders to where the person finds them."""
    for line in given["path"].split():
        folder = runner.workspace / line.replace("~", str(runner.home), 1)
        if folder.is_dir():
            shutil.copytree(folder, runner.artifacts / given["name"] / folder.name, symlinks=True)


def use(name: str, runner: Runner, given: Mapping[str, str]) -> None:
    """Do what the action does. given: its inputs. Raises UnknownError, subprocess.CalledProcessError."""
    if name not in ACTIONS:
        raise UnknownError(f"{name} has no equivalent in tests/workflow/actions.py")
    ACTIONS[name](runner, given)


ACTIONS: Mapping[str, Callable[[Runner, Mapping[str, str]], None]] = {
    "actions/checkout": checkout,
    "actions/setup-python": setup_python,
    "actions/upload-artifact": upload_artifact,
}
