"""Hundreds of random edits: whatever is saved in whatever order, the answer is what is on the disk."""

import random
import time

import pytest

from sample_project import Project, atomically, in_place
from warmfork_server import Serve

MODULES = ("base", "left", "right", "top", "leaf")
EDITS = 100
CHECKS = 33


def check(answer: dict[str, dict[str, int]], floor: dict[str, int]) -> None:
    """One answer holds one version of each module, and none older than before."""
    own = {name: answer[name][name] for name in MODULES}
    mixed = {name: seen for name, seen in answer.items() if any(own[other] != value for other, value in seen.items())}
    assert not mixed, f"seen by others otherwise than {own}: {mixed}"
    older = {name: (own[name], floor[name]) for name in MODULES if own[name] < floor[name]}
    assert not older, f"older than an earlier answer: {older}"
    floor.update(own)


@pytest.mark.parametrize("seed", range(3))
def test_random_edits(seed: int, lattice: Project, serve: Serve) -> None:
    server = serve(lattice)
    generator = random.Random(seed)  # noqa: S311
    saved = dict.fromkeys(MODULES, 0)
    floor = dict(saved)

    def serves_what_is_saved() -> bool:
        answer = server.get()
        assert answer.status == 200, answer.text
        check(answer.json, floor)
        return floor == saved

    edits = checks = 0
    while edits < EDITS or checks < CHECKS:
        for _ in range(generator.choice((1, 1, 2, 3, 9))):
            module = generator.choice(MODULES)
            lattice.save = generator.choice((atomically, in_place))
            lattice.replace(f"{module}.py", f"VALUE = {saved[module]}", f"VALUE = {saved[module] + 1}")
            saved[module] += 1
            edits += 1
            time.sleep(generator.uniform(0, 0.05))
        server.until(f"edit {edits} is served", serves_what_is_saved)
        checks += 1
    assert server.reports("not reloaded|restarting") == []
