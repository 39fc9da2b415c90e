"""Saves, as editors make them: a new file renamed over the old one, or the old one written anew."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random


class Mode(StrEnum):
    """How an editor saves."""

    ATOMIC = "atomic"
    IN_PLACE = "in place"


@dataclass(frozen=True)
class Edit:
    """What a file is to hold next, and the version by which answers then show it."""

    path: Path
    text: str
    version: str

    def save(self, mode: Mode) -> float:
        """Write the file; return when its change began to be visible, in seconds of the monotonic clock."""
        return _SAVE[mode](self.path, self.text)


def save_atomically(path: Path, text: str) -> float:
    """Write a hidden file beside the path and rename it; return when the renaming began."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    draft.write_text(text)
    began = time.monotonic()
    draft.rename(path)
    return began


def save_in_place(path: Path, text: str) -> float:
    """Truncate the file and write it; return when it was opened."""
    began = time.monotonic()
    path.write_text(text)
    return began


_SAVE: dict[Mode, Callable[[Path, str], float]] = {Mode.ATOMIC: save_atomically, Mode.IN_PLACE: save_in_place}


def half_and_half(count: int, random: Random) -> list[Mode]:
    """Return as many modes, half of them atomic, in random order."""
    modes = [Mode.ATOMIC, Mode.IN_PLACE] * -(-count // 2)
    random.shuffle(modes := modes[:count])
    return modes
