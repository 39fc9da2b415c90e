"""What a process imports ahead of a change."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImportPlan:
    """Names of modules: to be imported ahead, in their order, and deferred until the change has come.

    bare: packages that are deferred, while modules in them or those that take names from them are not, each with what
    it gives when it is asked for a name: a module, and what that calls it. imports: where there are such packages, what
    these and all that is imported ahead import of each other, in their order.
    """

    ahead: tuple[str, ...] = ()
    deferred: frozenset[str] = frozenset()
    bare: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
