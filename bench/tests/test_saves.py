"""Saves, as editors make them."""

import time
from pathlib import Path
from random import Random

import pytest

from bench.saves import Edit, Mode, half_and_half


@pytest.mark.parametrize(("mode", "is_same_file"), ((Mode.ATOMIC, False), (Mode.IN_PLACE, True)))
def test_a_save_replaces_the_text(tmp_path: Path, mode: Mode, is_same_file: bool) -> None:
    path = tmp_path / "main.py"
    path.write_text("old")
    before = path.stat().st_ino
    # Held open, lest its number be given to the new file.
    with path.open():
        began = time.monotonic()
        saved = Edit(path, "new", "1").save(mode)
        assert began <= saved <= time.monotonic()
        assert (path.stat().st_ino == before) == is_same_file
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("count", "atomic"), ((0, 0), (1, 1), (5, 3), (40, 20)))
def test_half_of_the_saves_are_atomic(count: int, atomic: int) -> None:
    modes = half_and_half(count, Random(1))  # noqa: S311 - repeatable
    assert (len(modes), modes.count(Mode.ATOMIC)) == (count, atomic)
