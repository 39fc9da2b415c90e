"""Which libraries are installed: a parent that has imported old ones is of no use."""

import contextlib
import os
import sys
from pathlib import Path

from warmfork.snapshot.folders import SITES, is_folder, list_folder, real_path

_METADATA = (".dist-info", ".egg-info", ".pth")


def site_folders() -> list[Path]:
    """Return the folders of sys.path into which packages are installed."""
    folders = {real_path(Path(entry)) for entry in sys.path if entry and is_folder(Path(entry))}
    return sorted(folder for folder in folders if folder.name in SITES or _has_packages(folder))


def _has_packages(folder: Path) -> bool:
    return any(name.endswith(".dist-info") for name in list_folder(folder).folders)


class Packages:
    """What is installed in the folders, as it was when this was made."""

    def __init__(self, folders: list[Path]) -> None:
        """Take stock."""
        self.folders = folders
        self._installed = self._list()

    def concerns(self, path: Path) -> bool:
        """Tell whether a change of the path may mean that a package was installed or removed."""
        return path.parent in self.folders and path.name.endswith(_METADATA)

    def changes(self) -> list[str]:
        """Return the packages that were installed, removed or replaced since."""
        now = self._list()
        before = self._installed
        return sorted(
            {name.rpartition(".")[0] for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        )

    def _list(self) -> dict[str, int]:
        found = {}
        for folder in self.folders:
            # A folder may have gone, and an installation that is under way renames and deletes.
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_METADATA):
                        with contextlib.suppress(OSError):
                            found[entry.name] = entry.stat().st_mtime_ns
        return found
