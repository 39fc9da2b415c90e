"""Which modules of the application depend on which."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from warmfork.snapshot.record import Record
from warmfork.snapshot.sources import Source, Sources
from warmfork.snapshot.statements import Imported


class Graph:
    """Who imports whom, among modules that were executed: by import statements, and by what a run has shown."""

    def __init__(self, record: Record, sources: Sources, before: Record | None = None) -> None:
        """Read the statements of the record's files.

        before: of another process; what it has shown counts for files that are as they were.
        """
        self._importers: defaultdict[str, set[str]] = defaultdict(set)
        self._imports: defaultdict[str, set[str]] = defaultdict(set)
        self._order = list(record.files)
        # Modules that change what others have made, by registering something, for example.
        self._registering: set[str] = set()
        for name, file in record.files.items():
            source = sources.find(file)
            targets = _targets(name, source, source.statements.imports) if source else set()
            changed = _targets(name, source, source.statements.registrations) if source else set()
            if not changed.isdisjoint(record.files) or name in record.subclassing:
                self._registering.add(name)
            shown = record.imported.get(name, set())
            if before and source and before.digests.get(file) == source.digest.hex():
                shown = shown | before.imported.get(name, set())
            # Importing a.b imports a first, and so does being a.b.
            for target in (name, *targets, *shown):
                for above in _upwards(target):
                    if above in record.files and above != name:
                        self._importers[above].add(name)
                        self._imports[name].add(above)

    def needs(self, name: str) -> set[str]:
        """Return the module, and all that it imports, directly or not."""
        return _closure([name], self._imports)

    def dependents(self, names: Iterable[str]) -> set[str]:
        """Return the modules, and all that import one of them, directly or not."""
        return _closure(names, self._importers)

    def waiting(self, names: Iterable[str]) -> set[str]:
        """Return the modules that cannot be imported before these are as they will be.

        That is these, all that import one of them, and those that register something after one of them does.
        """
        found = self.dependents(names)
        first = next((place for place, name in enumerate(self._order) if name in found), len(self._order))
        return self.dependents(found | (self._registering & set(self._order[first:])))

    def outermost(self, entry: str) -> set[str]:
        """Return the modules that the entry alone imports, such as routers."""
        return {name for name, importers in self._importers.items() if importers == {entry}}


def _closure(names: Iterable[str], edges: Mapping[str, set[str]]) -> set[str]:
    """Return the names, and all that edges lead to from one of them."""
    found = set(names)
    waiting = list(found)
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _upwards(name: str) -> list[str]:
    """Return the name of a module, and those of the packages that it is in."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _targets(name: str, source: Source, imported: Iterable[Imported]) -> set[str]:
    """Return absolute names of what a module's statements import."""
    package = name if source.path.name == "__init__.py" else name.rpartition(".")[0]
    targets = set()
    for level, target in imported:
        if not level:
            targets.add(target)
            continue
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - level + 1])
        targets.add(f"{base}.{target}" if base and target else base or target)
    return targets - {""}
