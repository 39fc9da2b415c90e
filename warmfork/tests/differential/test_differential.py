"""What is served after an edit is what a fresh uvicorn serves. `python -m differential` does thousands of edits."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from differential import shapes
from differential.case import Case, Edit, Layout, Step
from differential.edits import KINDS, PLAIN_KINDS
from differential.reference import Reference
from differential.run import PROOF, Run
from differential.saving import render
from differential.shrinking import shrink
from differential.trial import Result, first_difference
from fork_server import SOURCE

# Of each application.
EDITS = 10
TOUCH = Edit("touch", (Step("touch", "main.py"),))


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    with Reference() as reference:
        yield reference


@pytest.fixture
def stale() -> Case:
    """Return a case in which a module is edited that the server is told to ignore."""
    tree = render(shapes.make(3, "single", is_plain=True))
    save = Step("atomically", "m1.py", tree["m1.py"].replace("VALUE = 2\n", "VALUE = 99\n"))
    layout = Layout("single", "main:app", options=("--reload-dir", ".", "--reload-exclude", "m1.py"))
    return Case(layout, tree, (TOUCH, Edit("constant", (save, Step("touch", "main.py"))), TOUCH))


def test_is_what_uvicorn_serves(reference: Reference, subtests: pytest.Subtests) -> None:
    def run(seed: int, layout: str) -> Run:
        run = Run(seed, (layout,), PLAIN_KINDS, is_plain=True, proof=2 * EDITS if layout == "package" else PROOF)
        run.application(reference, EDITS)
        return run

    # Most of the time something is waited for, such as a standby.
    with ThreadPoolExecutor(3) as threads:
        runs = dict(zip(shapes.PLAIN_LAYOUTS, threads.map(run, itertools.count(), shapes.PLAIN_LAYOUTS), strict=True))
    for layout, done in runs.items():
        with subtests.test(layout):
            assert [(case.describe(), result) for case, result, _ in done.failures] == []
            assert done.edits == EDITS
    # The reference itself is right.
    assert [(done.proofs, done.unequal) for done in runs.values() if done.proofs] == [(1, [])]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has no sys.monitoring before 3.12")
def test_swapped_functions_are_those_of_a_fresh_process() -> None:
    """In a process of its own: each look for functions goes through all objects that there are."""
    command = [sys.executable, "-m", "differential.swaps", "--edits", "96", "--row", "12", "--seed", "0"]
    python_path = os.pathsep.join(map(str, [SOURCE, Path(__file__).parents[1]]))
    run = subprocess.run(command, env={"PYTHONPATH": python_path}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    counts = re.search(r"of (\d+) that touch bodies alone (\d+) were swapped", run.stdout)
    assert counts
    bodies, swapped = map(int, counts.groups())
    assert bodies > 50
    assert swapped >= 0.95 * bodies


def test_stale_module_is_found(stale: Case, reference: Reference) -> None:
    result = first_difference(stale, reference)
    assert result
    assert (result.number, result.kind) == (1, "constant")
    assert "/ modules m1 seen m1: 2, not 99" in result.differences


def test_case_is_cut_down(stale: Case) -> None:
    def run(case: Case) -> Result | None:
        """Fail where the module is there, and an edit saves it."""
        for number, edit in enumerate(case.edits):
            if "m1.py" in case.tree and any(step.path == "m1.py" for step in edit.steps):
                return Result(number, edit.kind, "standby", ("stale",), 0)
        return None

    smaller = shrink(stale, run)
    assert [[step.path for step in edit.steps] for edit in smaller.edits] == [["m1.py"]]
    assert {"m1.py", "main.py"} <= smaller.tree.keys() <= {"m1.py", "main.py", "hub.py"}


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_case_is_the_same_after_it_was_kept(seed: int) -> None:
    model = shapes.make(seed)
    checkout = Step("checkout", changes=(Step("link", "m1.py", "m2.py"),))
    case = Case(model.layout, render(model), (Edit("checkout", (checkout,)),), seed)
    assert Case.of_json(case.as_json()) == case


def test_shapes_and_edits_are_of_every_kind() -> None:
    assert {shapes.make(seed).layout.name for seed in range(200)} == set(shapes.LAYOUTS)
    assert set(PLAIN_KINDS) < set(KINDS)
