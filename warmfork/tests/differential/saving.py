"""Turns a change of the model into what is done to the files."""

import copy
import random
from collections.abc import Iterable, Mapping

from differential.case import SAVES, Edit, Link, Step, Tree
from differential.edits import KINDS
from differential.model import Model


class Editor:
    """Makes edits of an application, one after another."""

    def __init__(self, model: Model, chance: random.Random, kinds: Iterable[str] = tuple(KINDS)) -> None:
        self.model = model
        self.tree = render(model)
        self._chance = chance
        self._kinds = tuple(kinds)

    def edit(self) -> Edit:
        """Return the next edit, as if it had been done."""
        chance = self._chance
        while True:
            is_faulty = any(module.fault for module in self.model.modules.values())
            kind = "repair" if is_faulty and chance.random() < 0.6 else self._choose()
            model = copy.deepcopy(self.model)
            try:
                moves = KINDS[kind][1](model, chance) or {}
            except IndexError:
                continue
            if model.layout.name == "beside":
                _save_watched(model, self.tree)
            steps = self._steps(kind, render(model), moves)
            if not steps:
                continue
            edit = Edit(kind, tuple(steps), chance.random() < 0.75)
            self.model, self.tree = model, edit.replay(self.tree)
            return edit

    def _choose(self) -> str:
        return self._chance.choices(self._kinds, [KINDS[kind][0] for kind in self._kinds])[0]

    def _steps(self, kind: str, after: Tree, moves: Mapping[str, str]) -> list[Step]:
        chance, tree = self._chance, dict(self.tree)
        if kind in {"touch", "save unchanged"}:
            paths = [path for path, text in tree.items() if not isinstance(text, Link)]
            path = chance.choice(paths)
            return [Step("touch", path) if kind == "touch" else Step(_save(chance), path, tree[path])]
        first = [Step("rename", old, new) for old, new in moves.items()]
        for step in first:
            step.replay(tree)
        steps = list(differences(tree, after, chance))
        if kind == "checkout" and self.model.layout.has_repository:
            return [Step("checkout", changes=tuple(steps))]
        if kind == "stash" and self.model.layout.has_repository:
            return [*steps, Step("pause", content=str(chance.choice((0, 0.02, 0.1)))), Step("stash")]
        if kind in {"checkout", "stash"}:
            return []
        chance.shuffle(steps)
        # What is beside the reload folder comes first: see _save_watched().
        steps.sort(key=lambda step: not step.path.startswith("libs/"))
        if kind == "burst":
            return [one for step in steps for one in (step, Step("pause", content=f"{chance.uniform(0, 0.06):.3f}"))]
        return [*first, *steps]


def render(model: Model) -> Tree:
    """Return all files; without those of modules that were deleted while others import them."""
    files = model.render()
    for name, module in model.modules.items():
        if module.fault == "gone":
            files.pop(model.path(name), None)
            files.pop(model.linked.get(name, ""), None)
    return files


def _save(chance: random.Random) -> str:
    return chance.choices(list(SAVES), (6, 4, 2))[0]


def differences(before: Tree, after: Tree, chance: random.Random) -> Iterable[Step]:
    """Yield what makes one tree of the other; what was moved out of the application is left there."""
    for path, text in after.items():
        old = before.get(path)
        if old == text and isinstance(old, Link) == isinstance(text, Link):
            continue
        if isinstance(text, Link):
            yield Step("link", path, str(text))
        else:
            yield Step(_save(chance), path, text)
    for path in sorted(before.keys() - after.keys()):
        if not path.startswith("away"):
            yield Step("delete", path)


def _save_watched(model: Model, before: Tree) -> None:
    """Change a file of the reload folder, too, for what lies beside it counts from the next reload on."""
    after = render(model)
    if any(before.get(path) != after.get(path) for path in before.keys() | after.keys() if path.startswith("libs/")):
        model.modules[model.entry].value = model.fresh()
