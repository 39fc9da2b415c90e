"""Cuts a case down while it still fails in the same way: edits, steps, modules, what is special about saving."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from differential.case import SAVES, Case, Edit, Link, Step
from differential.trial import Result

MODULE = re.compile(r"\b([md]\d+)(?:_\w+|\.\w+)?\b")
HEADER = re.compile(r'^"""|^(?:VALUE|SEEN, |m\d+_value, m\d+_derived = VALUE|__all__)')


def signature(result: Result) -> str:
    """Return what is wrong without names and numbers: two results with the same one may have the same cause."""
    first = result.differences[0].partition(", not ")[0] if result.differences else ""
    return re.sub(r"\d+", "N", re.sub(r": .*", "", first)).strip()


def shrink(case: Case, run: Callable[[Case], Result | None], budget: int = 40) -> Case:
    """Return a smaller case that fails with the same signature, found with so many runs at most."""
    found = run(case)
    if found is None or not found.differences:
        return case
    wanted = signature(found)
    smaller = replace(case, edits=case.edits[: found.number + 1])
    runs = 0
    is_smaller = True
    # Ctrl-C ends it with what has been found so far.
    with contextlib.suppress(KeyboardInterrupt):
        while is_smaller:
            is_smaller = False
            for candidate in _candidates(smaller):
                if runs >= budget:
                    return smaller
                runs += 1
                result = run(candidate)
                if result is not None and result.differences and signature(result) == wanted:
                    smaller, is_smaller = replace(candidate, edits=candidate.edits[: result.number + 1]), True
                    break
    return smaller


def _candidates(case: Case) -> Iterator[Case]:
    """Yield smaller cases, the most promising ones first."""
    for last in (1, 2, 3, 5):
        if len(case.edits) > last:
            yield case.starting_at(len(case.edits) - last)
    yield from (_without_names(case, names) for names in _chunks(_names(case)))
    for number, edit in enumerate(case.edits):
        if len(case.edits) > 1:
            yield replace(case, edits=(*case.edits[:number], *case.edits[number + 1 :]))
        for changed in _smaller_edits(edit):
            yield replace(case, edits=(*case.edits[:number], changed, *case.edits[number + 1 :]))
    actions = {step.action for edit in case.edits for step in edit.steps}
    if case.layout.has_repository and actions.isdisjoint({"checkout", "stash"}):
        yield replace(case, layout=replace(case.layout, has_repository=False))


def _smaller_edits(edit: Edit) -> Iterator[Edit]:
    if len(edit.steps) > 1:
        for number in range(len(edit.steps)):
            yield replace(edit, steps=(*edit.steps[:number], *edit.steps[number + 1 :]))
    for number, step in enumerate(edit.steps):
        if step.action in SAVES and step.action != "atomically":
            simple = replace(step, action="atomically")
            yield replace(edit, steps=(*edit.steps[:number], simple, *edit.steps[number + 1 :]))
        for position in range(len(step.changes)):
            fewer = replace(step, changes=(*step.changes[:position], *step.changes[position + 1 :]))
            yield replace(edit, steps=(*edit.steps[:number], fewer, *edit.steps[number + 1 :]))
    if not edit.is_calm:
        yield replace(edit, is_calm=True)


def _names(case: Case) -> list[str]:
    return sorted({name for path in case.tree for name in MODULE.findall(path)}, key=lambda name: int(name[1:]))


def _chunks(names: list[str]) -> Iterator[set[str]]:
    """Yield halves, then smaller parts, then single names."""
    size = (len(names) + 1) // 2
    while size and len(names) > 1:
        for start in range(0, len(names), size):
            yield set(names[start : start + size])
        if size == 1:
            break
        size = (size + 1) // 2


def _without_names(case: Case, names: set[str]) -> Case:
    """Leave out the files with these names, and every line of another file that is about them."""
    tree = {
        path: text if isinstance(text, Link) else _without_lines(text, names)
        for path, text in case.tree.items()
        if names.isdisjoint(MODULE.findall(path))
    }
    edits = (replace(edit, steps=tuple(_without_steps(edit.steps, names))) for edit in case.edits)
    return replace(case, tree=tree, edits=tuple(edit for edit in edits if edit.steps))


def _without_steps(steps: tuple[Step, ...], names: set[str]) -> Iterator[Step]:
    for step in steps:
        if names.isdisjoint(MODULE.findall(step.path)):
            changes = tuple(_without_steps(step.changes, names))
            yield replace(step, content=_without_lines(step.content, names), changes=changes)


def _without_lines(text: str, names: set[str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if names.isdisjoint(MODULE.findall(line)) or HEADER.match(line))
