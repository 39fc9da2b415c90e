"""A checkout of another branch is one change."""

import copy
import os
import random
import subprocess

from sample_project import Project
from warmfork_server import Serve, Server

MODULES = ("base", "left", "right", "top", "leaf")


def git(project: Project, *arguments: str) -> None:
    """Run git in the project, without a person's configuration."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    subprocess.run(
        ["git", *identity, *arguments], cwd=project.directory, env=environment, check=True, capture_output=True
    )


def commit(project: Project, message: str) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--message", message)


def values(number: int) -> dict[str, dict[str, int]]:
    """Return what the application answers when every module has this value."""
    return {
        "base": {"base": number},
        "leaf": {"leaf": number},
        "left": {"left": number, "base": number},
        "right": {"right": number, "base": number},
        "top": {"top": number, "left": number, "right": number, "base": number},
    }


def until_values(server: Server, number: int) -> None:
    server.until(f"every value is {number}", lambda: server.get().json == values(number))


def set_values(project: Project, old: int, new: int) -> None:
    modules = list(MODULES)
    random.shuffle(modules)
    for module in modules:
        project.replace(f"{module}.py", f"VALUE = {old}", f"VALUE = {new}")


def test_checkout_of_another_branch(lattice: Project, serve: Serve) -> None:
    for number in range(200):
        lattice.write(f"extra_{number}.py", f"NUMBER = {number}\n")
    git(lattice, "init", "--initial-branch", "main")
    commit(lattice, "one")
    git(lattice, "switch", "--create", "other")
    set_values(lattice, 0, 1)
    for number in range(200):
        lattice.path(f"extra_{number}.py").unlink()
    for number in range(200):
        lattice.write(f"other_{number}.py", f"NUMBER = {number}\n")
    commit(lattice, "another")
    git(lattice, "switch", "main")

    server = serve(lattice)
    for reload, (branch, number) in enumerate((("other", 1), ("main", 0), ("other", 1), ("main", 0)), start=1):
        git(lattice, "switch", branch)
        until_values(server, number)
        server.until_reloads(reload)
    server.until_reloads(4)
    assert all(" more" in files for files in server.reloaded_files())


def test_many_files_at_once(lattice: Project, serve: Serve) -> None:
    server = serve(lattice)
    for number in range(1, 11):
        set_values(lattice, number - 1, number)
        until_values(server, number)
    assert server.reports("not reloaded") == []


def test_slow_checkout_in_a_linked_worktree(lattice: Project, serve: Serve) -> None:
    """As with large files (LFS), which a filter fetches one by one; the lock lies in the repository."""
    lattice.touch(".gitignore")
    (lattice.directory / ".gitattributes").write_text("*.py filter=slow\n")
    git(lattice, "init", "--initial-branch", "main")
    git(lattice, "config", "filter.slow.clean", "cat")
    git(lattice, "config", "filter.slow.smudge", "sleep 0.1; cat")
    commit(lattice, "one")
    git(lattice, "switch", "--create", "other")
    set_values(lattice, 0, 1)
    commit(lattice, "another")
    linked = copy.copy(lattice)
    linked.directory = lattice.directory.parent / "linked"
    git(lattice, "worktree", "add", "-b", "third", str(linked.directory), "main")

    server = serve(linked)
    for reload, (branch, number) in enumerate((("other", 1), ("third", 0)), start=1):
        git(linked, "switch", *(("--detach",) if branch == "other" else ()), branch)
        until_values(server, number)
        server.until_reloads(reload)
    assert server.reports("not reloaded") == []
