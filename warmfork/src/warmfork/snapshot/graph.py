"""Which modules of the application depend on which."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from warmfork.snapshot.import_plan import ImportPlan
from warmfork.snapshot.import_statements import Imported, Taken
from warmfork.snapshot.record import Record
from warmfork.snapshot.sources import Source, Sources
from warmfork.snapshot.statements import Named


class Graph:
    """Who imports whom, among modules that were executed: by import statements, and by what a run has shown."""

    def __init__(self, record: Record, sources: Sources, before: Record | None = None) -> None:
        """Read the statements of the record's files.

        before: of another process; what it has shown counts for files that are as they were.
        """
        self._importers: defaultdict[str, set[str]] = defaultdict(set)
        # Of them, those that must be executed after it.
        self._dependents: defaultdict[str, set[str]] = defaultdict(set)
        # Those that need the package to be there, for they are in it or import what is, and nothing of what it does.
        self._within: defaultdict[str, set[str]] = defaultdict(set)
        # Those that take these names from the package and ask for nothing else, by package.
        self._takers: defaultdict[str, dict[str, AbstractSet[str]]] = defaultdict(dict)
        # Modules that it imports when it is executed.
        self._needed: dict[str, AbstractSet[str]] = {}
        self._order = list(record.files)
        # Modules that change what others have made, by registering something, for example.
        self._registering: set[str] = set()
        # Modules that change what they have imported in another way, which all after them may see.
        self._acting: set[str] = set()
        self._imported = record.imported
        self._found = {name: source for name, file in record.files.items() if (source := sources.find(file))}
        self._named = {name: _named(name, self._found.get(name)) for name in record.files}
        names = frozenset(record.files)
        for name, file in record.files.items():
            source, named = self._found.get(name), self._named[name]
            if named.registrations & names or name in record.subclassing:
                self._registering.add(name)
            if named.acts:
                self._acting.add(name)
            shown = record.imported.get(name, set())
            if before and source and before.digests.get(file) == source.digest.hex():
                shown = shown | before.imported.get(name, set())
            shown_with_packages = shown.union(*map(_above, shown))
            self._needed[name] = ((named.executed | shown_with_packages) & names) - {name}
            # What is imported after a module has done something may have seen that, and all that this imports.
            later = named.later & record.imported.get(name, set())
            self._dependents[name] |= (_closure(later, record.imported) & names) - {name}
            # A package that was executed when a module in it was imported was not asked for itself.
            asked_for = named.targets | (shown - named.packages)
            for imported in ((asked_for | named.packages | shown_with_packages) & names) - {name}:
                self._importers[imported].add(name)
                if imported not in asked_for:
                    self._within[imported].add(name)
                elif imported in named.taken and self._is_package(imported):
                    self._takers[imported][name] = named.taken[imported]
                else:
                    self._dependents[imported].add(name)
        self._packages = self._within.keys() | self._takers.keys()

    def needs(self, name: str) -> set[str]:
        """Return the module, and all that is imported when it is executed, directly or not."""
        return _closure([name], self._needed)

    def dependents(self, names: Iterable[str], bare: AbstractSet[str] = frozenset()) -> set[str]:
        """Return the modules, and all that must be executed after one of them.

        bare: packages that need not be executed before what is in them, or takes from them what is there without.
        """
        found, reached = set[str](), set(names)
        while reached != found:
            found = reached
            edges = {package: self._dependents_on_package(package, found, bare) for package in found & self._packages}
            reached = _closure(found, self._dependents, edges)
        return found

    def _dependents_on_package(self, package: str, waiting: AbstractSet[str], bare: AbstractSet[str]) -> set[str]:
        """Return the modules that need the package to be executed: those that are in it, or take something from it."""
        within, takers = self._within[package], self._takers[package]
        if package not in bare:
            return {*within, *takers}
        inside = _closure([package], self._imported)
        # What these do while the package imports them may be seen by whoever takes something from it then.
        doing = (self._registering | self._acting) & waiting & inside
        wait = {
            taker
            for taker, taken in takers.items()
            if doing or not all(self._is_there(package, name, waiting, bare) for name in taken)
        }
        if self._named[package].collects:
            return wait
        # What else it does is over for all that it does not import itself.
        return wait | ({*within, *takers} - inside)

    def _is_there(self, package: str, name: str, waiting: AbstractSet[str], bare: AbstractSet[str]) -> bool:
        """Tell whether a bare package can give what is taken from it, as it has it from a module that need not wait."""
        seen = set[str]()
        while package in bare and package not in seen:
            seen.add(package)
            bound = self._named[package].bound
            inner = f"{package}.{name}"
            if inner in self._found:
                return inner not in waiting and bound.get(name, (package, name)) == (package, name)
            if name not in bound:
                return False
            package, name = bound[name]
        return package in self._found and package not in waiting

    def plan(self, names: AbstractSet[str], unfit: AbstractSet[str] = frozenset()) -> ImportPlan:
        """Return what can be imported ahead of a change of these modules. unfit: packages that are not to be bare."""
        deferred = self._waiting(names, frozenset())
        # What one of these will do itself, nobody knows yet.
        bare, possible = set[str](), self._bare(deferred) - names - unfit
        while bare != possible:
            bare = possible
            deferred = self._waiting(names, bare)
            # The fewer modules wait, the fewer packages may be bare.
            possible = bare & self._bare(deferred)
        ahead = tuple(name for name in self._order if name not in deferred)
        given = {name: self._named[name].bound for name in bare}
        return ImportPlan(ahead, frozenset(deferred), given, self._imports({*ahead, *bare}) if bare else {})

    def _imports(self, names: AbstractSet[str]) -> dict[str, tuple[str, ...]]:
        """Return what each of the modules imports of the others when it is executed, in the order of all."""
        places = {name: place for place, name in enumerate(self._order)}
        return {name: tuple(sorted(self._needed[name] & names, key=places.__getitem__)) for name in names}

    def _waiting(self, names: Iterable[str], bare: AbstractSet[str]) -> set[str]:
        """Return the modules that cannot be imported before these are as they will be.

        That is these, all that import one of them, those that register something after one of them does, and those that
        are executed after one of them has changed something that others may see.
        """
        found = self.dependents(names, bare)
        first = next((place for place, name in enumerate(self._order) if name in found), len(self._order))
        found = self.dependents(found | (self._registering & set(self._order[first:])), bare)
        seen: set[str] = set()
        while acting := (found & self._acting) - seen:
            seen |= acting
            found = self.dependents(found.union(*map(self._after, acting)), bare)
        return found

    def _bare(self, waiting: AbstractSet[str]) -> set[str]:
        """Return the packages of which modules may be imported while the package itself waits.

        It is executed in its place, when whoever was the first to import it has its turn.
        """
        imported = set[str]().union(*self._imported.values())
        bare: set[str] = set()
        for name in sorted(waiting, key=len):
            if self._is_package(name) and name in imported and waiting & set(_above(name)) <= bare:
                bare.add(name)
        return bare

    def _is_package(self, name: str) -> bool:
        source = self._found.get(name)
        return source is not None and source.path.name == "__init__.py"

    def _after(self, name: str) -> set[str]:
        """Return the modules whose execution begins after the end of this one's."""
        return set(self._order[self._order.index(name) + 1 :]) - _closure([name], self._imported)

    def outermost(self, entry: str) -> set[str]:
        """Return the modules that the entry alone imports, such as routers."""
        return {name for name, importers in self._importers.items() if importers == {entry}}


def _closure(names: Iterable[str], *edges: Mapping[str, AbstractSet[str]]) -> set[str]:
    """Return the names, and all that edges lead to from one of them."""
    found = set(names)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        new = set[str]().union(*(kind.get(name, ()) for kind in edges)) - found
        found |= new
        waiting += new
    return found


def _named(name: str, source: Source | None) -> Named:
    """Return what a module names; it is remembered as long as its text stays as it is."""
    if source is None:
        return Named(packages=frozenset(_above(name)))
    if name not in source.named:
        statements = source.statements
        targets = _targets(name, source, statements.imports)
        whole = _targets(name, source, statements.whole)
        taken = defaultdict[str, set[str]](set)
        for imported, names in statements.taken.items():
            for module in _targets(name, source, [imported]) - whole:
                taken[module] |= names
        executed = _targets(name, source, statements.executed)
        source.named[name] = Named(
            targets=targets,
            taken=dict(taken),
            bound={local: _taken(name, source, one) for local, one in statements.bound.items()},
            # Importing a.b imports a first, and so does being a.b.
            packages=frozenset(_above(name)).union(*map(_above, targets)),
            executed=executed.union(_above(name), *map(_above, executed)),
            registrations=_targets(name, source, statements.registrations),
            later=_targets(name, source, statements.later),
            acts=statements.acts,
            collects=statements.collects,
        )
    return source.named[name]


def _above(name: str) -> list[str]:
    """Return the names of the packages that a module is in."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _targets(name: str, source: Source, imported: Iterable[Imported]) -> frozenset[str]:
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
    return frozenset(targets - {""})


def _taken(name: str, source: Source, taken: Taken) -> tuple[str, str]:
    """Return the absolute name of the module from which a module takes a name, and that name."""
    return next(iter(_targets(name, source, [taken.module])), ""), taken.name
