"""The libraries that the parent has imported, for every process to inherit."""

import sys
from collections.abc import Iterable
from pathlib import Path

from warmfork.parent.files import Files
from warmfork.parent.preload import Hazard, preload
from warmfork.snapshot.loader import Importer
from warmfork.snapshot.territory import Territory


class Libraries:
    """Imports libraries, and knows those that somebody may edit."""

    def __init__(self, files: Files, importer: Importer, territory: Territory, skip: Iterable[str]) -> None:
        """skip: modules that each child imports for itself."""
        self._files = files
        self._importer = importer
        self._territory = territory
        self.skip = set(skip)
        # Files of libraries that are not installed, by the module's name.
        self._editable: dict[str, str] = {}

    def preload(self, names: Iterable[str]) -> list[Hazard]:
        """Import the modules; return those that a fork cannot inherit."""
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self.skip)]
        before = set(sys.modules)
        hazards = preload(wanted, self._importer)
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not self._territory.is_installed(file):
                self._editable[name] = str(Path(file).resolve())
        if not hazards:
            self._files.follow_libraries(self._editable.values())
        return hazards

    def edited(self, files: frozenset[str]) -> tuple[str, ...]:
        """Return those whose file is among these."""
        return tuple(name for name, file in self._editable.items() if file in files)
