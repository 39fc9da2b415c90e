"""What warmfork says about itself while it is measured."""

import re
from collections.abc import Iterable

IMPORTED = "imported"
_RELOADED = re.compile(r"^warmfork: .+: reloaded in \d+ ms(?: \((\w+))?")
_RESTARTING = "warmfork: restarting: "


def ways(lines: Iterable[str]) -> list[str]:
    """Return how each reload was made, in a word: swapped, standby or imported."""
    return [match[1] or IMPORTED for match in map(_RELOADED.match, lines) if match]


def restarts(lines: Iterable[str]) -> int:
    """Return how often the process was replaced that keeps the libraries."""
    return sum(line.startswith(_RESTARTING) for line in lines)
