"""A generated application and edits to it, as data: kept in a file, replayed, and cut down to what fails."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from sample_project import Save, atomically, in_place, slowly

SAVES: Mapping[str, Save] = {"atomically": atomically, "in place": in_place, "slowly": slowly}
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")
GIT_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}


class Link(str):
    """A symbolic link's target, where another file has its text."""

    __slots__ = ()


# Paths below the root, and what is there.
Tree = dict[str, str]


@dataclass(frozen=True)
class Step:
    """One thing done to the files.

    action: a way to save, or "link", "delete", "rename" (to the content), "touch", "pause" (for so many seconds),
    "checkout" (of what the changes make), "stash".
    """

    action: str
    path: str = ""
    content: str = ""
    changes: tuple["Step", ...] = ()

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "changes": tuple(map(Step.of_json, fields["changes"]))})

    def replay(self, tree: Tree) -> None:
        """Do it to a tree in memory."""
        if self.action in SAVES:
            tree[self.path] = self.content
        elif self.action == "link":
            tree[self.path] = Link(self.content)
        elif self.action == "delete":
            tree.pop(self.path, None)
        elif self.action == "rename":
            for path in [path for path in tree if path == self.path or path.startswith(f"{self.path}/")]:
                tree[self.content + path.removeprefix(self.path)] = tree.pop(path)
        for change in self.changes:
            change.replay(tree)

    def perform(self, root: Path) -> None:
        """Do it to the disk. What is not there any more, because an earlier step was cut out, is passed over."""
        path = root / self.path
        if self.action in SAVES:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                path.unlink()
            SAVES[self.action](path, self.content)
        elif self.action == "link":
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{uuid4().hex}")
            beside.symlink_to(self.content)
            beside.rename(path)
        elif self.action == "delete":
            path.unlink(missing_ok=True)
            _prune(path.parent, root)
        elif self.action == "rename" and os.path.lexists(path) and not (root / self.content).exists():
            (root / self.content).parent.mkdir(parents=True, exist_ok=True)
            path.rename(root / self.content)
        elif self.action == "touch" and path.exists():
            os.utime(path)
        elif self.action == "pause":
            time.sleep(float(self.content))
        elif self.action == "checkout":
            _check_out(root, self.changes)
        elif self.action == "stash":
            git(root, "stash", "--include-untracked", check=False)
            git(root, "stash", "pop", check=False)


@dataclass(frozen=True)
class Edit:
    """What a person does at once. When calm, everything is awaited that an earlier edit has set going."""

    kind: str
    steps: tuple[Step, ...]
    is_calm: bool = True

    @property
    def is_one_step(self) -> bool:
        """Whether the files have no state between the one before and the one after."""
        return len(self.steps) == 1 and self.steps[0].action in {"atomically", "link", "delete", "touch", "rename"}

    def replay(self, tree: Tree) -> Tree:
        after = dict(tree)
        for step in self.steps:
            step.replay(after)
        return after


@dataclass(frozen=True)
class Layout:
    """How an application is started. Paths are below the root, except in options, which are below the directory."""

    name: str
    application: str
    directory: str = "."
    options: tuple[str, ...] = ("--reload-dir", "app")
    app_dir: str = ""
    python_path: tuple[str, ...] = ()
    is_factory: bool = False
    has_repository: bool = False

    @property
    def own_options(self) -> tuple[str, ...]:
        """What uvicorn needs as well, when it does not reload."""
        return (
            *(("--app-dir", self.app_dir) if self.app_dir else ()),
            *(("--factory",) if self.is_factory else ()),
        )


@dataclass(frozen=True)
class Case:
    """An application with its edits."""

    layout: Layout
    tree: Tree
    edits: tuple[Edit, ...] = ()
    # From which it was made.
    seed: int = 0
    features: tuple[str, ...] = field(default=())

    def as_json(self) -> str:
        links = [path for path, text in self.tree.items() if isinstance(text, Link)]
        return json.dumps({**asdict(self), "links": links}, indent=1)

    @classmethod
    def of_json(cls, text: str) -> Self:
        fields = json.loads(text)
        links = set(fields.pop("links"))
        tree = {path: Link(text) if path in links else text for path, text in fields.pop("tree").items()}
        layout: dict[str, Any] = fields["layout"]
        layout |= {name: tuple(value) for name, value in layout.items() if isinstance(value, list)}
        edits = tuple(
            Edit(edit["kind"], tuple(map(Step.of_json, edit["steps"])), edit["is_calm"]) for edit in fields["edits"]
        )
        return cls(Layout(**layout), tree, edits, fields["seed"], tuple(fields["features"]))

    def starting_at(self, edit: int) -> "Case":
        """Return the case whose application is what this one's becomes by the edits before."""
        tree = self.tree
        for earlier in self.edits[:edit]:
            tree = earlier.replay(tree)
        return replace(self, tree=tree, edits=self.edits[edit:])

    def write(self, root: Path) -> None:
        """Put the application there."""
        for path, text in self.tree.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, Link):
                (root / path).symlink_to(text)
            else:
                (root / path).write_text(text)
        for option, value in pairwise(self.layout.options):
            # All modules may be in another folder.
            if option == "--reload-dir":
                (root / self.layout.directory / value).mkdir(parents=True, exist_ok=True)
        if self.layout.has_repository:
            git(root, "init", "--initial-branch=main")
            _commit(root)

    def describe(self) -> str:
        """Return all of it as a person reads it."""
        return "\n".join(_described(self))


def git(root: Path, *arguments: str, check: bool = True, text: str = "") -> str:
    """Run git there, without a person's configuration; return what it says."""
    command = [*GIT, *arguments]
    run = subprocess.run(
        command, cwd=root, env=GIT_ENVIRONMENT, check=check, capture_output=True, text=True, input=text
    )
    return run.stdout.strip()


def _commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--allow-empty", "--quiet", "--message", "files")


def _check_out(root: Path, changes: Iterable[Step]) -> None:
    """Let git put the changed files in place, all at once, as if they had been on another branch."""
    _commit(root)
    before = git(root, "rev-parse", "HEAD")
    for change in changes:
        remove = change.action == "delete"
        if remove:
            git(root, "update-index", "--force-remove", change.path)
            continue
        blob = git(root, "hash-object", "-w", "--stdin", text=change.content)
        mode = "120000" if change.action == "link" else "100644"
        git(root, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{change.path}")
    commit = git(root, "commit-tree", git(root, "write-tree"), "-p", before, "-m", "other files")
    git(root, "read-tree", before)
    git(root, "checkout", "--quiet", "--force", "--detach", commit)


def _prune(folder: Path, root: Path) -> None:
    """Remove folders that have become empty."""
    while folder != root and folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        shutil.rmtree(folder)
        folder = folder.parent


def _described(case: Case) -> Iterator[str]:
    layout = case.layout
    yield f"seed {case.seed}: {layout.application} {' '.join((*layout.options, *layout.own_options))}"
    yield f"in {layout.directory}, PYTHONPATH {':'.join(layout.python_path) or '(none)'}"
    for path, text in case.tree.items():
        yield f"--- {path}{f' -> {text}' if isinstance(text, Link) else ''}"
        if not isinstance(text, Link):
            yield text.rstrip("\n")
    for number, edit in enumerate(case.edits, 1):
        yield f"=== edit {number}: {edit.kind}{'' if edit.is_calm else ' (at once)'}"
        yield from (line for step in edit.steps for line in _told(step))


def _told(step: Step) -> Iterator[str]:
    if step.action in SAVES:
        yield f"save {step.path} {step.action}:"
        yield from (f"    {line}" for line in step.content.splitlines())
    else:
        yield f"{step.action} {step.path} {step.content}".rstrip()
    for change in step.changes:
        yield from (f"    {line}" for line in _told(change))
