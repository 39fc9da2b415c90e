"""What a process imports ahead of a change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImportPlan:
    """Names of modules: to be imported ahead, in their order, and deferred until the change has come.

    bare: packages that are deferred, while modules in them are not.
    """

    ahead: tuple[str, ...] = ()
    deferred: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
