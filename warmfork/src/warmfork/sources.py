"""The application's files as they were last seen: contents, and code objects compiled from them.

All children import from here and never from bytecode files, whose validity is judged by whole seconds and sizes. So two
saves within a second are two versions, and a child sees one state of all files, whatever is saved meanwhile.
"""

import ast
import fnmatch
import hashlib
import marshal
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType

from warmfork.reading import BeingWrittenError, read_whole
from warmfork.reads import names, signature
from warmfork.watcher import files_below, is_skipped

# Seconds; a file that somebody has had open for writing for so long is taken as it is, for a log or a database is
# never complete.
_LONGEST_WRITE = 1.0


@dataclass(frozen=True)
class Source:
    """One file; Python ones have code or the error that compiling them gave."""

    path: Path
    digest: bytes
    content: bytes = field(repr=False, default=b"")
    code: CodeType | None = field(repr=False, default=None)
    error: Exception | None = None

    @cached_property
    def imports(self) -> frozenset[tuple[int, str]]:
        """Names in the file's import statements, with their levels: `from ..a import b` gives (2, "a"), (2, "a.b")."""
        try:
            tree = ast.parse(self.content)
        except (SyntaxError, ValueError):
            return frozenset()
        return frozenset(_imports(tree))


class Sources:
    """A snapshot of the files that cause a reload."""

    def __init__(
        self,
        trees: list[Path],
        folders: list[Path],
        includes: Iterable[str],
        excludes: Iterable[str],
    ) -> None:
        """Read and compile what is there. Of folders only the files directly in them count, and no Python files.

        From now on this process ignores SIGIO.
        """
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.trees = trees
        # Files that somebody was writing when they were last looked at, and since when.
        self._unfinished: dict[Path, float] = {}
        self._folders = folders
        self._includes = tuple(includes)
        self._excludes = tuple(excludes)
        self._files: dict[str, Source] = {}
        self._links: set[Path] = set()
        # What the application has read while it was imported: files, and the names in folders.
        self._followed: set[str] = set()
        self._listings: dict[str, frozenset[str]] = {}
        self.refresh(path for tree in trees for path in files_below(tree))
        self.refresh(path for folder in folders for path in folder.iterdir() if path.is_file())

    def refresh(self, paths: Iterable[Path]) -> set[Path]:
        """Read the files again; return those whose content is not what it was, appeared or disappeared.

        A file that somebody is writing is left as it was, and read by a later call, whatever that is called with.
        """
        changed = set()
        paths = self._with_links({*paths, *self._unfinished})
        # Told of a path that is no known file: a new one, or a folder that was moved or deleted with what was in it.
        if unknown := {path for path in paths if str(path) not in self._files}:
            paths |= {known.path for known in self._files.values() if not unknown.isdisjoint(known.path.parents)}
        for path in paths:
            if str(path) in self._files or self.concerns(path):
                changed |= self._update(path)
        for folder in {str(path.parent) for path in paths} & self._listings.keys():
            if (listing := names(folder)) != self._listings[folder]:
                self._listings[folder] = listing
                changed.add(Path(folder))
        return changed

    def follow(self, signatures: Mapping[str, list[int]]) -> set[Path]:
        """Count what the application has read as its own; return what has changed since.

        signatures: of files and folders, as they were when they were read.
        """
        changed = set()
        for name, before in signatures.items():
            path = Path(name)
            if path.is_dir():
                self._listings.setdefault(name, names(name))
            elif name not in self._files:
                self._followed.add(name)
                self._update(path)
            if signature(name) != before:
                changed.add(path)
        return changed

    def concerns(self, path: Path) -> bool:
        """Tell whether a change of the file would cause a reload."""
        if str(path) in self._followed:
            return True
        name = path.name
        if any(fnmatch.fnmatch(name, pattern) or path.match(pattern) for pattern in self._excludes):
            return False
        if self.is_below(path):
            if name.endswith(".py"):
                # Editors keep their locks and backups in hidden files.
                return not name.startswith(".")
        elif path.parent not in self._folders:
            return False
        return any(fnmatch.fnmatch(name, pattern) for pattern in self._includes)

    def is_below(self, path: Path) -> bool:
        """Tell whether the file lies in one of the trees, and not in a tool's folder there."""
        folders = list(path.parents)
        tree = next((tree for tree in self.trees if tree in folders), None)
        return tree is not None and not any(is_skipped(folder) for folder in folders[: folders.index(tree)])

    @property
    def is_complete(self) -> bool:
        """Whether no file was being written when refresh() looked at it."""
        return not self._unfinished

    def get(self, path: Path) -> Source | None:
        """Return the file as last seen."""
        return self._files.get(str(path))

    def find(self, path: str) -> Source | None:
        """Return the file as last seen."""
        return self._files.get(path)

    def python(self) -> Iterator[Source]:
        """Yield the Python files."""
        return (source for source in self._files.values() if source.path.suffix == ".py")

    @property
    def digest(self) -> str:
        """12 hexadecimal digits over names and contents of all Python files."""
        total = hashlib.sha256()
        for source in sorted(self.python(), key=lambda source: source.path):
            total.update(os.fsencode(source.path) + b" " + source.digest)
        return total.hexdigest()[:12]

    def pack(self, paths: Iterable[Path]) -> bytes:
        """Return the files' present states, for unpack() in another process."""
        return marshal.dumps([(str(path), self._packed(str(path))) for path in paths])

    def unpack(self, packed: bytes) -> None:
        """Take over what another process packed."""
        for name, state in marshal.loads(packed):  # noqa: S302 - from the parent
            if state is None:
                self._files.pop(name, None)
            else:
                self._files[name] = Source(Path(name), *state)

    def _with_links(self, paths: Iterable[Path]) -> set[Path]:
        """Return the files, and the links that lead to one of them."""
        named = set(paths)
        return named | {link for link in self._links if link.resolve() in named}

    def _packed(self, path: str) -> tuple[bytes, bytes, CodeType | None] | None:
        source = self._files.get(path)
        return (source.digest, source.content, source.code) if source else None

    def _update(self, path: Path) -> set[Path]:
        name = str(path)
        before = self._files.get(name)
        self._links.discard(path)
        if path.is_symlink():
            self._links.add(path)
        since = self._unfinished.pop(path, time.monotonic())
        try:
            content = path.read_bytes() if time.monotonic() - since > _LONGEST_WRITE else read_whole(path)
        except BeingWrittenError:
            self._unfinished[path] = since
            return set()
        except OSError:
            return {path} if self._files.pop(name, None) else set()
        digest = hashlib.sha256(content).digest()
        if before and before.digest == digest:
            return set()
        self._files[name] = _python(path, digest, content) if path.suffix == ".py" else Source(path, digest)
        return {path}


def _python(path: Path, digest: bytes, content: bytes) -> Source:
    try:
        return Source(path, digest, content, compile_source(content, path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        # The stack of this process says nothing about the file.
        return Source(path, digest, content, error=failure.with_traceback(None))


def compile_source(content: bytes, path: Path) -> CodeType:
    """Compile a module's text."""
    return compile(content, str(path), "exec", dont_inherit=True)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            for alias in node.names:
                yield node.level, f"{module}.{alias.name}" if module else alias.name
