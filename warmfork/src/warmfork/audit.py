"""Tells of Python's audit events: by one hook for all, since every hook is called for every event and for ever."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

# Is called with the event's name and arguments.
Listener = Callable[[str, tuple[Any, ...]], object]

_listeners: dict[str, list[Listener]] = {}
# The frames between a listener and who has caused an event.
CAUSE = 2


def listen(events: Iterable[str], listener: Listener) -> None:
    """Have it told of the events from now on."""
    if not _listeners:
        sys.addaudithook(_tell)
    for event in events:
        _listeners.setdefault(event, []).append(listener)


def leave(listener: Listener) -> None:
    """Tell it nothing more."""
    for listeners in _listeners.values():
        if listener in listeners:
            listeners.remove(listener)


def absolute(path: Any) -> str:  # noqa: ANN401 - whatever one may open
    """Return a path that an event tells of as it was written, but absolute. Raises TypeError, ValueError, OSError."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - called for each file that is opened


def _tell(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listeners.get(event, ()):
        listener(event, arguments)
