"""What libraries that were imported before a fork have registered to be done at the end of their process."""

import atexit
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_Action = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


class Registered:
    """Remembers it, so that each process that has inherited the libraries does it for itself, as for its last lines.

    What Python's own functions are to do is left to the process that has registered it: they delete what it has made,
    as a temporary folder, and the others still need that.
    """

    def __init__(self) -> None:
        """Nothing is registered."""
        self._actions: list[_Action] = []

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Remember what is registered meanwhile."""
        register, unregister = atexit.register, atexit.unregister

        def note(function: Callable[..., object], *arguments: Any, **others: Any) -> Callable[..., object]:  # noqa: ANN401
            if str(getattr(function, "__module__", "")).partition(".")[0] not in sys.stdlib_module_names:
                self._actions.append((function, arguments, others))
            return register(function, *arguments, **others)

        def forget(function: Callable[..., object]) -> None:
            self._actions[:] = [action for action in self._actions if action[0] != function]
            unregister(function)

        atexit.register, atexit.unregister = note, forget  # type: ignore[assignment]
        try:
            yield
        finally:
            atexit.register, atexit.unregister = register, unregister

    def inherit(self) -> None:
        """In a forked process: leave the rest to the one that has registered it."""
        atexit._clear()  # noqa: SLF001 - as multiprocessing does
        for function, arguments, others in self._actions:
            atexit.register(function, *arguments, **others)
