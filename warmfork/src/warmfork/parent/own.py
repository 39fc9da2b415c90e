"""What the parent must not hold of the application: its modules, and what its files say. All forks would have that."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from warmfork.audit import absolute, listen
from warmfork.snapshot.loader import module_spec
from warmfork.snapshot.reads import source_file
from warmfork.snapshot.territory import Territory
from warmfork.snapshot.variables import leave_alone, observe

_WRITING = os.O_WRONLY | os.O_RDWR


class Own:
    """Notices what this process has come to hold."""

    def __init__(self, territory: Territory, trees: Iterable[Path]) -> None:
        """Let go of the modules in the reload folders, which each child imports for itself."""
        self._territory = territory
        self._folders = tuple(f"{folder}{os.sep}" for folder in (Path.cwd(), *trees))
        # Of modules that lie elsewhere and that the program itself had imported: their files, by name.
        self.held: dict[str, str] = {}
        for name in [name for name in sys.modules if name != "__main__"]:
            spec = module_spec(name)
            if spec is None or not territory.holds(spec):
                continue
            if territory.watches(spec):
                del sys.modules[name]
            elif spec.origin and spec.has_location:
                self.held[name] = str(Path(spec.origin).resolve())
        # Variables of the environment that libraries have looked at.
        self.variables: set[str] = set()
        self._checked = set(sys.modules)
        self._read: set[str] = set()
        self._is_noting = False
        listen(("open", "sqlite3.connect"), self._on_event)

    def expel(self) -> list[str]:
        """Let go of the application's modules that have come since the last call; return their names."""
        new = sys.modules.keys() - self._checked
        own = sorted(filter(self._is_own, new))
        for name in own:
            del sys.modules[name]
        self._checked |= new.difference(own)
        return own

    def begin(self) -> None:
        """From now on, note which of the application's files are opened, and which variables are looked at."""
        self._read.clear()
        self._is_noting = True
        observe(self)

    def end(self) -> list[str]:
        """Return those that were opened since, if they are there or not."""
        self._is_noting = False
        leave_alone()
        return sorted(self._read)

    def on_read(self, name: str) -> None:
        """Take note that a library looks at a variable of the environment."""
        self.variables.add(name)

    def on_change(self, name: str) -> None:
        """Let a library set one."""

    def _is_own(self, name: str) -> bool:
        spec = module_spec(name)
        if spec is not None:
            return self._territory.holds(spec)
        file = getattr(sys.modules[name], "__file__", None)
        return isinstance(file, str) and self._territory.is_own(file)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_noting or (event == "open" and arguments[2] & _WRITING):
            return
        # A path may be none at all.
        with suppress(OSError, ValueError, TypeError):
            path = absolute(arguments[0])
            if path.startswith(self._folders) and not self._territory.is_installed(path):
                self._read.add(source_file(path))
