"""Packages that are made and not executed yet, so that modules in them can be imported ahead of them."""

import sys
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import ModuleType


@dataclass
class _Bare:
    """One of them. modules: those in it, from the end of importing ahead until it is executed."""

    file: str
    module: ModuleType
    modules: dict[str, ModuleType] = field(default_factory=dict)
    is_missed: bool = False


class BarePackages:
    """Makes packages bare as long as this process imports ahead, and has them executed in their turn afterwards."""

    def __init__(self) -> None:
        """None is to be made."""
        # That are to be bare if anything in them is imported.
        self.names: AbstractSet[str] = frozenset()
        self._made: dict[str, _Bare] = {}

    def make(self, module: ModuleType, file: str) -> None:
        """Leave the package without what its execution will give it, which nobody may ask for."""
        name = module.__name__

        def missing(attribute: str) -> None:
            # Python itself looks for some.
            if not attribute.startswith("__"):
                self._made[name].is_missed = True
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

        self._made[name] = _Bare(file, module)
        vars(module)["__getattr__"] = missing

    @property
    def missed(self) -> set[str]:
        """Those that were asked for what their execution would have given them."""
        return {name for name, bare in self._made.items() if bare.is_missed}

    @property
    def files(self) -> set[str]:
        """The files of those that are not executed yet."""
        return {bare.file for bare in self._made.values()}

    def end(self) -> None:
        """Have them executed from now on, as if nothing in them had been imported: whoever asks for that gets both."""
        self.names = frozenset()
        # Of a package in another one, this has what is in it.
        for name, bare in sorted(self._made.items(), reverse=True):
            inside = [one for one in sys.modules if one.startswith(f"{name}.")]
            bare.modules = {one: sys.modules.pop(one) for one in inside}
            sys.modules.pop(name, None)
            vars(bare.module).pop("__getattr__", None)
            parent, _, last = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)

    def take(self, name: str) -> ModuleType | None:
        """Return the package if it is about to be executed; modules in it are there from now on."""
        if name in self.names or not (bare := self._made.pop(name, None)):
            return None
        sys.modules.update(bare.modules)
        return bare.module
