"""Which modules of the application depend on which."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from warmfork.sources import Source, Sources


class Graph:
    """The import statements of the application's files, and what those cannot show but a run has."""

    def __init__(self, sources: Sources, roots: Sequence[Path], seen: Mapping[str, Iterable[str]]) -> None:
        """Read the statements.

        roots: where top-level modules lie, as in sys.path; seen: imports that were observed, by importing module.
        """
        self.modules = {name: source for source in sources.python() if (name := module_name(source.path, roots))}
        self._imports = {
            # Importing a.b imports a first, and so does being a.b.
            name: {
                above for target in (name, *_targets(name, source), *seen.get(name, ())) for above in _upwards(target)
            }
            for name, source in self.modules.items()
        }

    def dependents(self, names: Iterable[str]) -> set[str]:
        """Return the modules, and all that import one of them, directly or not."""
        found, waiting = set(names), list(names)
        while waiting:
            new = self._importers.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    def outermost(self, entry: str) -> set[str]:
        """Return the modules that the entry alone imports, such as routers."""
        return {name for name, importers in self._importers.items() if importers - {name} == {entry}}

    @cached_property
    def _importers(self) -> Mapping[str, set[str]]:
        importers: defaultdict[str, set[str]] = defaultdict(set)
        for name, imported in self._imports.items():
            for target in imported & self.modules.keys():
                importers[target].add(name)
        return importers

    def libraries(self, entry: str) -> list[str]:
        """Return what the module and the application's modules that it leads to import from elsewhere, by name."""
        reached, waiting, outside = {entry}, [entry], set()
        while waiting:
            for target in self._imports.get(waiting.pop(), ()):
                if target in self.modules:
                    waiting += {target} - reached
                    reached.add(target)
                else:
                    outside.add(target)
        packages = {name.partition(".")[0] for name in self.modules}
        return sorted(name for name in outside if name.partition(".")[0] not in packages)


def module_name(path: Path, roots: Sequence[Path]) -> str | None:
    """Return the name under which the file would be imported; None when it lies below none of the roots."""
    innermost = next((folder for folder in path.parents if folder in roots), None)
    if innermost is None:
        return None
    parts = path.relative_to(innermost).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _upwards(name: str) -> list[str]:
    """Return the name of a module, and those of the packages that it is in."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _targets(name: str, source: Source) -> set[str]:
    """Return absolute names of what a module's statements import."""
    package = name if source.path.name == "__init__.py" else name.rpartition(".")[0]
    targets = set()
    for level, target in source.imports:
        if not level:
            targets.add(target)
            continue
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - level + 1])
        targets.add(f"{base}.{target}" if base and target else base or target)
    return targets - {""}
