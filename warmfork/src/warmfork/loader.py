"""Imports the application's modules from the snapshot of its files, and notes who imported whom."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from warmfork.sources import Sources, compile_source


class Importer:
    """A finder for sys.meta_path, ahead of Python's own."""

    def __init__(self, sources: Sources) -> None:
        """Nothing is imported yet."""
        self.sources = sources
        # The application's modules in the order in which their imports finished.
        self.order: list[str] = []
        # Whom each module was the first to import, which finds imports that no statement shows.
        self.edges: dict[str, set[str]] = defaultdict(set)
        self._importing: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the application; leave all others to the finders that follow."""
        spec = PathFinder.find_spec(fullname, path, target)
        if (
            spec is None
            or type(spec.loader) is not SourceFileLoader
            or not self.sources.is_below(Path(spec.loader.path))
        ):
            return None
        spec.loader = _Loader(fullname, spec.loader.path, self)
        return spec

    def forget_listings(self) -> None:
        """Let Python look at the folders again: its listings are as coarse as the clock of the file system."""
        trees = tuple(map(str, self.sources.trees))
        above = {str(place) for tree in self.sources.trees for place in tree.parents}
        for name, finder in sys.path_importer_cache.items():
            # Libraries have hundreds of folders, and paths as objects take their time.
            if isinstance(finder, FileFinder) and (name in above or name.startswith(trees)):
                finder.invalidate_caches()

    def begin(self, name: str) -> None:
        """Note that the module is being imported."""
        if self._importing:
            self.edges[self._importing[-1]].add(name)
        self._importing.append(name)

    def end(self, name: str) -> None:
        """Note that the module's import finished, well or not."""
        self._importing.pop()
        self.order.append(name)


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, importer: Importer) -> None:
        super().__init__(fullname, path)
        self._importer = importer

    def get_code(self, fullname: str) -> CodeType:
        path = Path(self.get_filename(fullname))
        source = self._importer.sources.get(path)
        if source is None:
            # Newer than the snapshot.
            return compile_source(path.read_bytes(), path)
        if source.code is None:
            # Compiled here once more, so that the error has no other process's stack.
            return compile_source(source.content, path)
        return source.code

    def exec_module(self, module: ModuleType) -> None:
        self._importer.begin(module.__name__)
        try:
            super().exec_module(module)
        finally:
            self._importer.end(module.__name__)
