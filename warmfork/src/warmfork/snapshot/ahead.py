"""Modules that a process imports ahead of a change, and that have their turn again once it has come."""

import importlib
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType

from warmfork.snapshot.import_plan import ImportPlan

_MISSING = object()


@dataclass(frozen=True)
class _Given:
    """What a bare package had or has given when it was asked for a name."""

    package: ModuleType
    name: str
    value: object

    @property
    def is_right(self) -> bool:
        """Whether the package has it now that it is executed."""
        return vars(self.package).get(self.name, _MISSING) is self.value


class ImportedAhead:
    """Makes packages bare as long as this process imports ahead, and has all have its place in the order afterwards.

    A bare package is made and not executed, so that modules in it can be imported; it gives what it would have taken
    from them. Afterwards those modules, those that were given something, and those that import one of all these count
    as not imported. Their imports are repeated, where a fresh process would execute them.
    """

    def __init__(self, importing: list[str]) -> None:
        """importing: the modules that are being executed, the innermost at the end."""
        self._importing = importing
        self._plan = ImportPlan()
        self._is_over = True
        self._files: dict[str, str] = {}
        self._bare: dict[str, ModuleType] = {}
        # By the module that was being executed.
        self._given: defaultdict[str, list[_Given]] = defaultdict(list)
        # Those whose turn is still to come.
        self._waiting: dict[str, ModuleType] = {}
        # Those whose imports are being repeated: a fresh process would be executing them.
        self._repeating: dict[str, ModuleType] = {}
        # Bare packages that were asked for what they cannot give.
        self.missed: set[str] = set()
        # Files of modules whose imports could not be repeated as in a fresh process.
        self.misplaced: set[str] = set()

    def begin(self, plan: ImportPlan) -> None:
        """Follow the plan from now on."""
        self._plan = plan
        self._is_over = False

    def is_bare(self, name: str) -> bool:
        """Tell whether the package is to be made and not executed."""
        return not self._is_over and name in self._plan.bare

    def note(self, name: str, file: str) -> None:
        """Take note that a module is being executed."""
        if not self._is_over:
            self._files[name] = file

    def make(self, module: ModuleType, file: str) -> None:
        """Leave the package without what its execution will give it; import what it would that need not wait."""
        name = module.__name__
        names = self._plan.bare[name]
        self._bare[name] = module
        self._files[name] = file

        def give(attribute: str) -> object:
            source, original = names.get(attribute, ("", ""))
            value = getattr(sys.modules.get(source), original, _MISSING)
            if value is not _MISSING:
                self._given[self._importing[-1] if self._importing else ""].append(_Given(module, attribute, value))
                return value
            # Python itself looks for some.
            if not attribute.startswith("__"):
                self.missed.add(name)
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

        vars(module)["__getattr__"] = give
        self._importing.append(name)
        try:
            self._import(name)
        finally:
            self._importing.remove(name)

    def end(self) -> None:
        """Let everything have its turn again that depends on when a bare package is executed."""
        self._is_over = True
        for name in self._with_importers():
            self._waiting[name] = sys.modules.pop(name)
        for name, module in self._bare.items():
            vars(module).pop("__getattr__", None)
            for one, value in self._names_of_modules_in(name, module).items():
                self._given[""].append(_Given(module, one, value))
                delattr(module, one)
        for name in self._waiting:
            parent, _, last = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)

    def _with_importers(self) -> set[str]:
        """Return bare packages, what is in them or was given something, and all that imports one of these."""
        importers = defaultdict[str, set[str]](set)
        for name, imports in self._plan.imports.items():
            for imported in imports:
                importers[imported].add(name)
        inside = {one for one in sys.modules if any(one.startswith(f"{name}.") for name in self._bare)}
        executed = self._files.keys() & sys.modules.keys()
        found = set[str]()
        waiting = {*self._bare, *inside, *self._given} & sys.modules.keys()
        while waiting:
            found |= waiting
            waiting = set[str]().union(*(importers[name] for name in waiting)) & executed - found
        return found

    def find(self, name: str) -> ModuleType | None:
        """Return the module if it is there and its turn is still to come."""
        module = self._waiting.get(name) or self._repeating.get(name)
        # Some have put another object in their place, which need not bear what Python does to a module.
        return module if type(module) is ModuleType else None

    def spec(self, name: str) -> ModuleSpec | None:
        """Return how it was found, if it is there and need not be executed; what is elsewhere now is noticed later."""
        module = self.find(name)
        return module.__spec__ if module and name not in self._bare else None

    def repeat(self, name: str) -> bool:
        """Do what the import of a module does besides its execution; return False where it is to be executed."""
        if name in self._repeating:
            # In a circle of imports, whoever asks would find it half executed.
            self.misplaced.add(self._files[name])
            return True
        module = self._waiting.pop(name, None)
        if module is None:
            return False
        if name in self._bare:
            # What was not executed from a file of the snapshot is not found anew.
            for one in [one for one in self._waiting if one.startswith(f"{name}.") and one not in self._files]:
                sys.modules[one] = self._waiting.pop(one)
                parent, _, last = one.rpartition(".")
                if parent in sys.modules:
                    setattr(sys.modules[parent], last, sys.modules[one])
            return False
        self._repeating[name] = module
        names: dict[str, object] = {}
        if hasattr(module, "__path__"):
            names = self._names_of_modules_in(name, module)
        else:
            # So that it is noticed who asks for it now. A package must be there for what is in it.
            sys.modules.pop(name, None)
        try:
            self._import(name)
        except BaseException:
            # It would have come while the module was executed.
            self.misplaced.add(self._files[name])
            raise
        finally:
            del self._repeating[name]
        if not all(given.is_right for given in self._given.pop(name, ())):
            self.misplaced.add(self._files[name])
        for one, value in names.items():
            # The import of a module in a package has set its name there, which may be that of something else.
            setattr(module, one, value)
        sys.modules[name] = module
        return True

    def _names_of_modules_in(self, name: str, package: ModuleType) -> dict[str, object]:
        """Return what a package has under the names of modules in it whose turn is still to come."""
        inner = {last for parent, _, last in (one.rpartition(".") for one in self._waiting) if parent == name}
        return {one: vars(package)[one] for one in inner if one in vars(package)}

    def _import(self, name: str) -> None:
        """Import what the module imports, as far as it was or is to be imported ahead."""
        for imported in self._plan.imports.get(name, ()):
            # A circle of modules that were executed ahead was one then as well.
            if imported not in self._repeating:
                importlib.import_module(imported)

    @property
    def is_misplaced(self) -> bool:
        """Whether something was not imported as in a fresh process, whatever the change."""
        return bool(self.misplaced | self._misleading())

    @property
    def wrong(self) -> set[str]:
        """Files of modules that were not imported as in a fresh process, or are not imported by it."""
        unneeded = {self._files[name] for name in self._waiting if name in self._files}
        return self.misplaced | self._misleading() | unneeded

    def _misleading(self) -> set[str]:
        """Return the files of packages that have given something else than they have in the end."""
        given = [one for several in self._given.values() for one in several]
        return {self._files[one.package.__name__] for one in given if not one.is_right}
