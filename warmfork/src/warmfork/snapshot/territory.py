"""Where the application's files are: decides what is its own and what is a library, by where a file really lies.

Installed libraries and Python's own are libraries; all else is the application's, also beside the reload folders.
"""

import os
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

import warmfork
from warmfork.snapshot.folders import SITES, is_skipped

# Python's own modules, installed packages, and this package itself, which may lie in a reload folder or above one.
_LIBRARIES = (
    *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    os.path.dirname(warmfork.__file__) + os.sep,  # noqa: PTH120
)


class Territory:
    """The folders with the application's code, without tools' folders in them such as a virtual environment."""

    def __init__(self, trees: Sequence[Path], sites: Iterable[Path] = ()) -> None:
        """trees: the reload folders, resolved; sites: folders of installed packages, resolved."""
        self._trees = [str(tree) for tree in trees]
        above = {folder for tree in trees for folder in tree.parents}
        self._above = set(map(str, above))
        libraries = {*_LIBRARIES, *(os.path.realpath(folder) + os.sep for folder in _LIBRARIES)}
        # Something may be installed in a reload folder, too.
        apart = (site for site in sites if site not in above and {site, *site.parents}.isdisjoint(trees))
        self._libraries = (*libraries, *(f"{site}{os.sep}" for site in apart))
        # Answers of canonical() and is_installed(), by folder.
        self._folders: dict[str, str | None] = {}
        self._installed: dict[str, bool] = {}

    def forget(self) -> None:
        """Look again where links lead to."""
        self._folders.clear()
        self._installed.clear()

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
        if not os.path.islink(path):  # noqa: PTH114
            return None
        real = os.path.realpath(path)
        return real if self._is_inside(os.path.dirname(real)) else None  # noqa: PTH120

    def is_installed(self, path: str) -> bool:
        """Tell whether a file lies in a folder of Python's own modules, of an installed package, or of warmfork's."""
        folder = path.rpartition(os.sep)[0]
        if folder not in self._installed:
            real = os.path.realpath(folder) + os.sep
            self._installed[folder] = real.startswith(self._libraries) or not SITES.isdisjoint(Path(real).parts)
        return self._installed[folder]

    def reaches(self, folder: str) -> bool:
        """Tell whether a module that is looked for in this folder may be the application's."""
        return folder in self._above or self.canonical(f"{folder}{os.sep}x") is not None or folder in self._trees

    def holds(self, spec: ModuleSpec) -> bool:
        """Tell whether a module that was found is the application's: its file, or a folder of a namespace package."""
        return any(map(self.is_own, _places(spec)))

    def watches(self, spec: ModuleSpec) -> bool:
        """Tell whether a module that was found lies in a reload folder."""
        return any(self.canonical(place) is not None for place in _places(spec))

    def is_own(self, path: str) -> bool:
        """Tell whether a file is the application's."""
        return self.canonical(path) is not None or not self.is_installed(path)

    def _canonical_folder(self, folder: str) -> str | None:
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
                between = between[: between.index(Path(tree))]
                return not any(is_skipped(place) or f"{place}{os.sep}" in self._libraries for place in between)
        return False


def _places(spec: ModuleSpec) -> list[str]:
    """Return the file of a module that was found, or one in each folder of a namespace package."""
    if spec.has_location and spec.origin:
        return [os.path.abspath(spec.origin)]  # noqa: PTH100 - for each import
    return [f"{os.path.abspath(folder)}{os.sep}x" for folder in spec.submodule_search_locations or ()]  # noqa: PTH100
