"""The libraries that the parent has imported, for every process to inherit."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from warmfork.parent.preload import Hazard, preload
from warmfork.snapshot.loader import Importer, module_spec
from warmfork.snapshot.territory import Territory


class Libraries:
    """Imports libraries, and knows what the program had imported before it began to serve."""

    def __init__(self, importer: Importer, territory: Territory, skip: Iterable[str]) -> None:
        """skip: modules that each child imports for itself."""
        self._importer = importer
        self.skip = set(skip)
        # Files of the application's that this process holds, by the module's name.
        self.held: dict[str, str] = {}
        for name in [name for name in sys.modules if name != "__main__"]:
            spec = module_spec(name)
            if spec is None or not territory.holds(spec):
                continue
            if territory.watches(spec):
                # Each child imports it for itself.
                del sys.modules[name]
            elif spec.origin and spec.has_location:
                self.held[name] = str(Path(spec.origin).resolve())

    def preload(self, names: Iterable[str], known: Collection[int]) -> list[Hazard]:
        """Import the modules; return those that a fork cannot inherit. known: processes that no import has started."""
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self.skip)]
        return preload(wanted, self._importer, known)

    def edited(self, files: frozenset[str]) -> tuple[str, ...]:
        """Return those that are held and whose file is among these."""
        return tuple(name for name, file in self.held.items() if file in files)
