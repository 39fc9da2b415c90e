"""What is served after an edit is what a fresh uvicorn serves. `python -m differential` does thousands of edits."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from differential import shapes
from differential.case import Case, Edit, Layout, Step
from differential.edits import KINDS, PLAIN_KINDS
from differential.reference import Reference
from differential.run import Run
from differential.saving import render
from differential.shrinking import shrink
from differential.trial import first_difference

STALE = Case(
    Layout("flat", "app.main:app", options=("--reload-dir", "app", "--reload-exclude", "m2.py")),
    render(shapes.make(3, "flat", is_plain=True)),
)


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    with Reference() as reference:
        yield reference


def test_is_what_uvicorn_serves(reference: Reference, subtests: pytest.Subtests) -> None:
    run = Run(1, shapes.plain_layouts(), PLAIN_KINDS, is_plain=True, proof=40)
    for layout in shapes.plain_layouts():
        with subtests.test(layout):
            known = len(run.failures)
            run.application(reference, 10)
            assert [(case.describe(), result) for case, result, _ in run.failures[known:]] == []
    assert run.edits == 60
    # The reference itself is right.
    assert (run.proofs, run.unequal) == (1, [])


def test_stale_module_is_found_and_cut_down(reference: Reference) -> None:
    touched, stale = Step("touch", "app/main.py"), Step("atomically", "app/m1.py")
    text = str(STALE.tree["app/m1.py"])
    case = replace(
        STALE,
        layout=replace(STALE.layout, options=("--reload-dir", "app", "--reload-exclude", "m1.py")),
        edits=(
            Edit("touch", (touched,)),
            Edit("constant", (replace(stale, content=text.replace("VALUE = 2\n", "VALUE = 99\n")), touched)),
            Edit("touch", (touched,)),
        ),
    )
    result = first_difference(case, reference)
    assert result
    assert (result.number, result.kind) == (1, "constant")
    assert "app.m1 seen m1: 2, not 99" in " ".join(result.differences)
    smaller = shrink(case, lambda one: first_difference(one, reference), budget=6)
    assert [[step.path for step in edit.steps] for edit in smaller.edits] == [["app/m1.py"]]


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_case_is_the_same_after_it_was_kept(seed: int) -> None:
    model = shapes.make(seed)
    case = Case(model.layout, render(model), (Edit("checkout", (Step("checkout", changes=(Step("link", "a", "b"),)),)),))
    assert Case.of_json(case.as_json()) == case


def test_shapes_and_edits_are_of_every_kind() -> None:
    assert {shapes.make(seed).layout.name for seed in range(200)} == set(shapes.LAYOUTS)
    assert set(PLAIN_KINDS) < set(KINDS)
