"""Looks for modules along sys.path or a package's, as PathFinder does, with the snapshot in place of its folders."""

import os
import sys
from collections.abc import Sequence
from importlib._bootstrap_external import _NamespacePath  # type: ignore[attr-defined]
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import spec_from_file_location
from types import ModuleType

from warmfork.snapshot.record import Record
from warmfork.snapshot.searches import Searches
from warmfork.snapshot.signature import is_file, is_folder
from warmfork.snapshot.sources import Sources
from warmfork.snapshot.territory import Territory

# What a module may be, in Python's order.
_KINDS: tuple[tuple[str, type[ExtensionFileLoader | SourceFileLoader | SourcelessFileLoader]], ...] = (
    *((suffix, ExtensionFileLoader) for suffix in EXTENSION_SUFFIXES),
    (".py", SourceFileLoader),
    *((suffix, SourcelessFileLoader) for suffix in BYTECODE_SUFFIXES),
)


class PathSearch:
    """Finds modules in folders and archives, wherever they are."""

    def __init__(self, sources: Sources, territory: Territory, record: Record) -> None:
        """record: is told what was looked for where, once the application's modules may be imported."""
        self._sources = sources
        self._territory = territory
        self._searches = Searches(record)
        # Those of sys.path_hooks that are Python's and the parent's.
        self._hooks = list(sys.path_hooks)
        self._is_admitted = False

    def admit(self) -> None:
        """From now on, the application's modules are looked for."""
        self._is_admitted = True

    def changed(self) -> set[str]:
        """Return paths, without suffixes, at which there are other modules now than when they were looked for."""
        return self._searches.changed()

    def find(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        """Find a module that has a file or a folder."""
        spec = self._search(fullname, path, target)
        if spec and spec.loader is None:
            # Python's own kind of list: importlib.resources knows such a package by it, and it follows sys.path.
            spec.submodule_search_locations = _NamespacePath(fullname, spec.submodule_search_locations, self._search)
        return spec

    def _search(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Do what PathFinder does, with the snapshot in place of the folders that it is of."""
        name = fullname.rpartition(".")[2]
        portions: list[str] = []
        for entry in sys.path if path is None else path:
            folder = os.path.abspath(entry)  # noqa: PTH100 - for each import
            if self._is_admitted and self._territory.is_own(os.path.join(folder, name)):  # noqa: PTH118
                self._searches.add(folder, name)
            if self._territory.reaches(folder) and not is_file(folder):  # an archive is none
                base = os.path.join(folder, name)  # noqa: PTH118 - for each import
                if spec := self._in_snapshot(fullname, base):
                    return self._by_hooks(spec, entry) or spec
                if self._territory.canonical(base) is not None:
                    portions += [base] if is_folder(base) else []
                    continue
            if found := PathFinder.find_spec(fullname, [entry], target):
                if found.loader is not None:
                    return found
                portions += found.submodule_search_locations or ()
        if not portions:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def _by_hooks(self, spec: ModuleSpec, entry: str) -> ModuleSpec | None:
        """Return how the same module is found by what the application has put on sys.path_hooks, if that differs."""
        if sys.path_hooks == self._hooks or not self._is_admitted:
            return None
        found = PathFinder.find_spec(spec.name, [entry])
        if found is None or found.origin != spec.origin or type(found.loader) is type(spec.loader):
            return None
        return found

    def _in_snapshot(self, fullname: str, base: str) -> ModuleSpec | None:
        for place, portions in ((os.path.join(base, "__init__"), [base]), (base, None)):  # noqa: PTH118
            if self._territory.canonical(place) is None:
                continue
            for suffix, kind in _KINDS:
                file = place + suffix
                if self._has(file) if kind is SourceFileLoader else is_file(file):
                    loader = kind(fullname, file)
                    return spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=portions)
        return None

    def _has(self, path: str) -> bool:
        canonical = self._territory.canonical(path)
        if canonical is None:
            return False
        return self._sources.find(canonical) is not None or self._sources.is_left_out(canonical)
