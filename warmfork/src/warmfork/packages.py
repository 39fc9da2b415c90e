"""Which libraries are installed: a parent that has imported old ones is of no use."""

import sys
from pathlib import Path

_METADATA = (".dist-info", ".egg-info", ".pth")


def site_folders() -> list[Path]:
    """Return the folders of sys.path into which packages are installed."""
    folders = {Path(entry).resolve() for entry in sys.path if entry}
    return sorted(folder for folder in folders if folder.is_dir() and any(folder.glob("*.dist-info")))


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
        return {
            entry.name: entry.stat().st_mtime_ns
            for folder in self.folders
            for entry in folder.iterdir()
            if entry.name.endswith(_METADATA)
        }
