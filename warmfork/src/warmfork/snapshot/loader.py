"""Imports the application's modules from the snapshot of its files, and notes what it executes and who imported whom.

Whether a module is the application's is decided by where its file really lies, whichever finder has found it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Protocol
from zipimport import zipimporter

from warmfork.snapshot.ahead import ImportedAhead
from warmfork.snapshot.graph import Graph
from warmfork.snapshot.path_search import PathSearch
from warmfork.snapshot.record import Record
from warmfork.snapshot.signature import signature
from warmfork.snapshot.sources import Sources, compile_source
from warmfork.snapshot.territory import Territory

# Python's finders, which are asked by this one.
_OWN: tuple[object, ...] = (BuiltinImporter, FrozenImporter, PathFinder)


class NotHereError(ImportError):
    """A module of the application was about to be imported into the parent, which must never hold one."""


class Executions(Protocol):
    """Takes note of what is executed."""

    def execute(self, file: str, code: CodeType) -> None:
        """Take note that a module's code is about to be executed."""


class Importer(MetaPathFinder):
    """A finder for sys.meta_path, ahead of all others and in place of Python's own for files.

    In the parent it refuses the application's modules; a forked process calls admit() before it imports them.
    """

    # As PathFinder does it, for importlib.metadata.
    find_distributions = staticmethod(PathFinder.find_distributions)

    def __init__(self, sources: Sources, territory: Territory) -> None:
        """Nothing is imported yet."""
        self.sources = sources
        self._territory = territory
        self.record = Record()
        self._files = PathSearch(sources, territory, self.record)
        # Is told of each code object that is to be executed.
        self.executed: Executions | None = None
        # Modules of the application that were asked for in the parent.
        self.refused: set[str] = set()
        self._is_admitted = False
        self._importing: list[str] = []
        self.ahead = ImportedAhead(self._importing)
        # What some import hooks look for by this name on sys.meta_path, to have a module found by it.
        self._path_finder = type(PathFinder.__name__, (), {"find_spec": staticmethod(self._find_for_another)})

    def install(self) -> None:
        """Become the first of all finders. What this does not find, Python's own must not find either."""
        finders: list[Any] = [self._path_finder if finder is PathFinder else finder for finder in sys.meta_path]
        sys.meta_path[:] = [self, *(finder for finder in finders if finder is not self)]

    def invalidate_caches(self) -> None:
        """Let Python look again at folders that are not the application's."""
        PathFinder.invalidate_caches()

    def admit(self) -> None:
        """From now on, import the application's modules."""
        self.install()
        self._territory.forget()
        # Folders and archives of the application's may have changed since the parent has looked into them.
        for place, finder in list(sys.path_importer_cache.items()):
            if self._territory.is_own(os.path.join(os.path.abspath(place), "x")):  # noqa: PTH100, PTH118
                del sys.path_importer_cache[place]
                if isinstance(finder, zipimporter):
                    # Others for the same archive would share what this one knows.
                    finder.invalidate_caches()
        self._is_admitted = True
        self._files.admit()
        self._do_without_bytecode()

    def _do_without_bytecode(self) -> None:
        """Have it neither read nor written for the application's files, by whatever loader one of them is executed."""
        path_stats, is_own = SourceFileLoader.path_stats, self._territory.is_own

        def stats(loader: SourceFileLoader, path: str) -> Mapping[str, Any]:
            if is_own(os.path.abspath(path)):  # noqa: PTH100 - for each import
                # Then Python does without.
                raise OSError(f"bytecode of {path} is not used")
            return path_stats(loader, path)

        SourceFileLoader.path_stats = stats  # type: ignore[assignment,method-assign]

    @property
    def importing(self) -> str | None:
        """The module of the application that is being executed, if any."""
        return self._importing[-1] if self._importing else None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module wherever it is; one of the application's is loaded from the snapshot."""
        if spec := self.ahead.spec(fullname):
            return spec
        return self._own(fullname, self._ask_all(fullname, path, target))

    def _find_for_another(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module in a folder, for somebody who may load it in another way, from the disk."""
        spec = self._own(fullname, self._files.find(fullname, path, target))
        if spec and isinstance(spec.loader, _Loader):
            self._note(fullname, spec.loader.file)
        return spec

    def _own(self, fullname: str, spec: ModuleSpec | None) -> ModuleSpec | None:
        """Have a module that was found loaded from the snapshot if it is the application's, and note what it is."""
        if spec is None or not self._territory.holds(spec):
            return spec
        if not self._is_admitted:
            self.refused.add(fullname)
            raise NotHereError(f"{fullname} is the application's own", name=fullname)
        if isinstance(spec.loader, zipimporter):
            self._note(fullname, os.path.abspath(spec.loader.archive))  # noqa: PTH100 - for each import
        elif spec.origin and spec.has_location:
            origin = os.path.abspath(spec.origin)  # noqa: PTH100 - for each import
            file = self._territory.canonical(origin) or origin
            if type(spec.loader) is SourceFileLoader:
                loader = _BareLoader if self.ahead.is_bare(fullname) else _Loader
                spec.loader = loader(fullname, spec.origin, file, self)
            else:
                # An extension module that is built in place, say, or one with a loader of a library's.
                self._note(fullname, file)
        else:
            for folder in spec.submodule_search_locations or ():
                # With this file it would be another package.
                self._note(fullname, os.path.join(folder, "__init__.py"))  # noqa: PTH118
        return spec

    def _note(self, fullname: str, file: str) -> None:
        """Note a module that is loaded from the disk, if it is loaded from anywhere."""
        self.record.files[fullname] = file
        self.record.signatures[file] = signature(file)

    def outdated(self) -> set[str]:
        """Return what was executed or read and is not what the snapshot has, or what is on the disk now."""
        executed = {
            file
            for file, digest in self.record.digests.items()
            if (source := self.sources.find(file)) is None or source.digest.hex() != digest
        }
        return executed | self.record.outdated() | self._files.changed()

    def unneeded(self, entry: str, before: Record) -> set[str]:
        """Return what was executed and the application, which begins with the entry, no longer imports.

        That includes what was imported ahead and has not had its turn. before: what the last process did.
        """
        needed = Graph(self.record, self.sources, before).needs(entry)
        unneeded = {file for name, file in self.record.files.items() if name not in needed}
        return unneeded | self.ahead.wrong

    def _ask_all(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        # In Python's own order: what is built in, files, and then what others have added.
        built_in = BuiltinImporter.find_spec(fullname, path, target) or FrozenImporter.find_spec(fullname, path, target)
        if spec := built_in or self._files.find(fullname, path, target):
            return spec
        for finder in sys.meta_path:
            if finder not in {*_OWN, self, self._path_finder} and (spec := finder.find_spec(fullname, path, target)):
                return spec
        return None

    def begin(self, name: str, file: str) -> None:
        """Note that the module is being executed."""
        if self._importing:
            self.record.imported[self._importing[-1]].add(name)
        self._importing.append(name)
        self.record.files[name] = file
        self.ahead.note(name, file)

    def end(self, name: str) -> None:
        """Note that the module's execution has ended, well or not."""
        self._importing.remove(name)
        module = sys.modules.get(name)
        # Some modules put another object in their place.
        if type(module) is ModuleType and any(map(self._is_noted_elsewhere, list(vars(module).values()))):
            self.record.subclassing.add(name)

    def _is_noted_elsewhere(self, value: Any) -> bool:  # noqa: ANN401 - whatever a module holds
        """Tell whether a class of another module of the application takes note of this one when it is made."""
        # Not isinstance(), which asks a proxy for what it stands for, and that may not be there yet.
        if not issubclass(type(value), type):
            return False
        makers = [type(value), *(base for base in value.__mro__[1:] if "__init_subclass__" in vars(base))]
        return any(maker.__module__ in self.record.files and maker.__module__ != value.__module__ for maker in makers)

    def code(self, name: str, file: str) -> CodeType:
        """Return the module as the snapshot has it, or else as its file is now, and note that it is executed so."""
        source = self.sources.find(file)
        if source is None and self._territory.canonical(file) is not None and not self.sources.is_left_out(file):
            raise FileNotFoundError(f"{file} is gone")
        if source is None:
            self._note(name, file)
            code = compile_source(Path(file).read_bytes(), Path(file))
        else:
            self.record.digests[file] = source.digest.hex()
            # Where there is none it is compiled here once more, so that the error has no other process's stack.
            code = source.code or compile_source(source.content, Path(file))
        if self._importing and self._importing[-1] != name:
            # In another way than by an import statement, as runpy does.
            self.record.note_read(self._importing[-1], file, signature(file))
        if self.executed:
            self.executed.execute(file, code)
        return code


def module_spec(name: str) -> ModuleSpec | None:
    """Return how a module was found that is imported; None for anything else in its place."""
    module = sys.modules.get(name)
    # Some replace themselves by objects that do not bear to be asked.
    spec = getattr(module, "__spec__", None) if issubclass(type(module), ModuleType) else None
    return spec if isinstance(spec, ModuleSpec) else None


class _Loader(SourceFileLoader):
    """Executes a module of the application's, and never as a bytecode file has it.

    path: as Python would know the file; file: as the snapshot does.
    """

    def __init__(self, fullname: str, path: str, file: str, importer: Importer) -> None:
        super().__init__(fullname, path)
        self.file = file
        self._importer = importer

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module = self._importer.ahead.find(spec.name)
        if module:
            module.__loader__ = self
        return module

    def get_code(self, fullname: str) -> CodeType:
        return self._importer.code(fullname, self.file)

    def exec_module(self, module: ModuleType) -> None:
        self._importer.begin(module.__name__, self.file)
        try:
            if not self._importer.ahead.repeat(self.name):
                super().exec_module(module)
        finally:
            self._importer.end(module.__name__)


class _BareLoader(_Loader):
    """Makes a package, and leaves its execution to another one."""

    def exec_module(self, module: ModuleType) -> None:
        self._importer.ahead.make(module, self.file)
