"""Breaks rendered manifests in memory, one place at a time, to show that a check notices."""

import copy
from typing import Any, Final

from tests.manifests.manifests import Manifest, find

REMOVED: Final = object()

Place = tuple[str | int, ...]  # keys; in a list the name of an item or its position


def mutated(manifests: list[Manifest], wanted: str, place: Place, value: object) -> list[Manifest]:
    """Return a copy in which one place of one object has another value, or is gone.

    An empty place means the object itself. Raises LookupError if there is no such object or place.
    """
    changed = copy.deepcopy(manifests)
    manifest = find(changed, wanted)
    if not place:
        changed.remove(manifest)
        return changed
    within: Any = manifest
    for step in place[:-1]:
        within = within[position(within, step)]
    last = position(within, place[-1])
    if value is REMOVED:
        del within[last]
    elif isinstance(within, list) and last == len(within):
        within.append(value)
    else:
        within[last] = value
    return changed


def position(within: Any, step: str | int) -> str | int:  # noqa: ANN401 - any part of a manifest
    """Return the key or index of a step; a name finds the list's item that has it."""
    if isinstance(within, list) and isinstance(step, str):
        return [item["name"] for item in within].index(step)
    return step
