"""Where the application's files are: decides what is its own and what is a library, by where a file really lies."""

import os
import sysconfig
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from warmfork.snapshot.folders import is_skipped

# Python's own modules, installed packages, and this package itself, which may lie in a reload folder or above one.
_LIBRARIES = (
    *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    os.path.dirname(__file__) + os.sep,  # noqa: PTH120
)


class Territory:
    """The folders with the application's code, without tools' folders in them such as a virtual environment."""

    def __init__(self, trees: Iterable[Path]) -> None:
        """trees: resolved."""
        self._trees = [str(tree) for tree in trees]
        self._above = {str(folder) for tree in trees for folder in tree.parents}
        self._folders: dict[str, str | None] = {}

    def forget(self) -> None:
        """Look again where links lead to."""
        self._folders.clear()

    def canonical(self, path: str) -> str | None:
        """Return the path by which the snapshot knows the file; None where it is not the application's.

        That is the path itself below a reload folder, links in it included, and elsewhere what links lead to.
        """
        folder, _, name = path.rpartition(os.sep)
        if folder not in self._folders:
            self._folders[folder] = self._canonical_folder(folder)
        known = self._folders[folder]
        if known is not None:
            return f"{known}{os.sep}{name}"
        real = os.path.realpath(path)
        return real if os.path.islink(path) and self._is_inside(os.path.dirname(real)) else None  # noqa: PTH114, PTH120

    def is_installed(self, path: str) -> bool:
        """Tell whether a file is Python's own, of an installed package, or warmfork's."""
        return path.startswith(_LIBRARIES)

    def is_inside(self, path: str) -> bool:
        """Tell whether a file or folder lies where the application's files are."""
        return self.canonical(path) is not None or path in self._trees

    def reaches(self, folder: str) -> bool:
        """Tell whether a module that is looked for in this folder may be the application's."""
        return folder in self._above or self.canonical(f"{folder}{os.sep}x") is not None or folder in self._trees

    def holds(self, spec: ModuleSpec) -> bool:
        """Tell whether a module that was found is the application's: its file, or a folder of a namespace package."""
        if spec.has_location and spec.origin:
            return self.canonical(os.path.abspath(spec.origin)) is not None  # noqa: PTH100
        return any(
            self.canonical(f"{os.path.abspath(folder)}{os.sep}x") is not None  # noqa: PTH100
            for folder in spec.submodule_search_locations or ()
        )

    def modules(self, modules: dict[str, ModuleType], names: Iterable[str]) -> list[str]:
        """Return the names of those modules that are the application's; not the program itself."""
        specs = ((name, getattr(modules.get(name), "__spec__", None)) for name in names if name != "__main__")
        return [name for name, spec in specs if isinstance(spec, ModuleSpec) and self.holds(spec)]

    def _canonical_folder(self, folder: str) -> str | None:
        if f"{folder}{os.sep}".startswith(_LIBRARIES):
            return None
        if self._is_inside(folder):
            return folder
        real = os.path.realpath(folder)
        return real if self._is_inside(real) else None

    def _is_inside(self, folder: str) -> bool:
        for tree in self._trees:
            if folder == tree:
                return True
            if folder.startswith(tree.rstrip(os.sep) + os.sep):
                inner = Path(folder)
                between = [inner, *inner.parents]
                return not any(is_skipped(place) for place in between[: between.index(Path(tree))])
        return False
