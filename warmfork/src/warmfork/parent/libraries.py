"""The libraries that the parent has imported, for every process to inherit."""

import itertools
import os
import sys
from collections.abc import Collection, Iterable
from importlib.machinery import ModuleSpec

from warmfork import report
from warmfork.child.registered import Registered
from warmfork.parent.own import Own
from warmfork.parent.preload import Hazard, preload
from warmfork.snapshot.loader import Importer, module_spec
from warmfork.snapshot.territory import Territory


class Libraries:
    """Imports libraries, and knows what the program had imported before it began to serve."""

    def __init__(self, importer: Importer, territory: Territory, skip: Iterable[str]) -> None:
        """skip: modules that each child imports for itself."""
        self._importer = importer
        self.skip = set(skip)
        # What libraries have registered to be done at the end.
        self.registered = Registered()
        self._own = Own(territory, importer.sources.trees)
        # Packages that have looked at variables of the environment which the application sets before it imports them.
        self._bound: set[str] = set()
        # Which it has set when it was first imported; None before that.
        self._setting: frozenset[str] | None = None

    @property
    def held(self) -> dict[str, str]:
        """Files of the application's that this process holds, by the module's name."""
        return self._own.held

    def check(self) -> None:
        """See to it that this process holds none of the application's modules, before it is forked."""
        for name in self._own.expel():
            report.log(f"the application's own {name} was imported here; each process imports it for itself")

    def preload(self, names: Iterable[str], known: Collection[int], limit: float | None) -> list[Hazard]:
        """Import the modules; return those that a fork cannot inherit.

        known: processes that no import has started; limit: seconds for each.
        """
        wanted = [name for name in names if not any(name == skip or name.startswith(f"{skip}.") for skip in self.skip)]
        with self.registered.noting():
            return preload(wanted, self._importer, self._own, bound=self._bound, known=known, limit=limit)

    def note_variables(self, setting: Iterable[str], bound: Iterable[str]) -> list[str]:
        """Take note of how the application uses the environment when it is imported.

        setting: variables that it sets; bound: modules of libraries that have looked at one of them, and are left to
        the application. Return variables that libraries here have looked at, and that it did not set at first.
        """
        self._bound.update(name.partition(".")[0] for name in bound)
        self.skip |= self._bound
        names = frozenset(setting)
        if self._setting is None:
            self._setting = names
        return sorted(names - self._setting & self._own.variables)

    def edited(self, files: frozenset[str]) -> tuple[str, ...]:
        """Return those that are held and whose file is among these, or in front of which one of these has come."""
        held = [name for name, file in self._own.held.items() if file in files]
        return (*held, *filter(None, map(self._hidden_by, sorted(files))))

    def _hidden_by(self, file: str) -> str:
        """Return the library in whose place this new file would be imported now; empty if there is none."""
        sources = self._importer.sources
        folder, _, name = file.removesuffix("/__init__.py").removesuffix(".py").rpartition(os.sep)
        if name in sys.stdlib_module_names or sources.find(file) is None or sources.replaced(file) is not None:
            return ""
        spec = module_spec(name)
        if spec is None or not spec.origin or not file.endswith(".py"):
            return ""
        before = itertools.takewhile(lambda entry: not _holds(entry, spec), map(os.path.abspath, sys.path))
        return name if folder in before else ""


def _holds(entry: str, spec: ModuleSpec) -> bool:
    """Tell whether a module was found in this folder."""
    places = spec.submodule_search_locations or [spec.origin or ""]
    return any(os.path.dirname(place) == entry for place in places)  # noqa: PTH120
