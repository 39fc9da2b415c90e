"""The libraries that the parent has imported, for every process to inherit."""

from collections.abc import Collection, Iterable

from warmfork import report
from warmfork.parent.own import Own
from warmfork.parent.preload import Hazard, preload
from warmfork.snapshot.loader import Importer
from warmfork.snapshot.territory import Territory


class Libraries:
    """Imports libraries, and knows what the program had imported before it began to serve."""

    def __init__(self, importer: Importer, territory: Territory, skip: Iterable[str]) -> None:
        """skip: modules that each child imports for itself."""
        self._importer = importer
        self.skip = set(skip)
        self._own = Own(territory, importer.sources.trees)

    @property
    def held(self) -> dict[str, str]:
        """Files of the application's that this process holds, by the module's name."""
        return self._own.held

    def check(self) -> None:
        """See to it that this process holds none of the application's modules, before it is forked."""
        for name in self._own.expel():
            report.log(f"the application's own {name} was imported here; each process imports it for itself")

    def preload(self, names: Iterable[str], known: Collection[int]) -> list[Hazard]:
        """Import the modules; return those that a fork cannot inherit. known: processes that no import has started."""
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self.skip)]
        return preload(wanted, self._importer, self._own, known)

    def edited(self, files: frozenset[str]) -> tuple[str, ...]:
        """Return those that are held and whose file is among these."""
        return tuple(name for name, file in self._own.held.items() if file in files)
