"""Notices who sets variables of the environment while the application is imported, and who looks at them after that."""

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from warmfork.snapshot.record import Record


class Observer(Protocol):
    """Is told of each variable that is looked at, or becomes another."""

    def on_read(self, name: str) -> None:
        """Take note that somebody looks at it, whether it is there or not."""

    def on_change(self, name: str) -> None:
        """Take note that somebody sets it to another value, or deletes it."""


class Variables:
    """Notes in a record which modules depend on variables that another one has set."""

    def __init__(self, record: Record, is_installed: Callable[[str], bool], module: Callable[[], str]) -> None:
        """Begin. is_installed: whether a file is of a library; module: the one that is being executed."""
        self._record = record
        self._is_installed = is_installed
        self._module = module
        # Modules of libraries that have looked at what the application has set, when they were imported.
        self.libraries: set[str] = set()
        self._setters: dict[str, str] = {}
        self._readers: defaultdict[str, set[str]] = defaultdict(set)
        self._ahead: dict[str, set[str]] = {}
        observe(self)

    def stop(self) -> None:
        """Note nothing more."""
        leave_alone()

    def end_ahead(self) -> None:
        """Take note that what comes from now on is in its turn."""
        self._ahead = dict(self._readers)

    def read_too_early(self, before: Record) -> set[str]:
        """Return modules that looked ahead of their turn at what was set then, and was not by the process before."""
        names = self._record.setting - before.setting
        return {reader for name in names for reader in self._ahead.get(name, set()) if reader != self._setters[name]}

    def on_read(self, name: str) -> None:
        """Take note that the module that is being executed looks at it."""
        reader = self._module()
        self._readers[name].add(reader)
        if (setter := self._setters.get(name)) is not None:
            if setter != reader:
                self._record.imported[reader].add(setter)
            self.libraries |= self._libraries_being_imported()

    def on_change(self, name: str) -> None:
        """Take note that the module that is being executed sets it."""
        # What a library sets when it is imported, it sets in every process.
        if not self._libraries_being_imported():
            self._setters[name] = self._module()
            self._record.setting.add(name)

    def _libraries_being_imported(self) -> set[str]:
        """Return those that are on the stack above the application's own module."""
        found = set()
        frame = sys._getframe(2)  # noqa: SLF001
        while frame := frame.f_back:  # type: ignore[assignment]
            if frame.f_code.co_name == "<module>" and not frame.f_code.co_filename.startswith("<"):
                if not self._is_installed(frame.f_code.co_filename):
                    break
                found.add(frame.f_globals.get("__name__", ""))
        return found


def observe(observer: Observer) -> None:
    """Tell somebody of all that happens to os.environ."""
    _replace(_Observed(os.environ._data, observer))  # type: ignore[attr-defined]  # noqa: SLF001


def leave_alone() -> None:
    """Tell nobody any more."""
    _replace(dict(os.environ._data))  # type: ignore[attr-defined]  # noqa: SLF001


def _replace(data: dict[bytes, bytes]) -> None:
    # Both are views of it.
    os.environ._data = os.environb._data = data  # type: ignore[attr-defined]  # noqa: SLF001


class _Observed(dict[bytes, bytes]):
    def __init__(self, data: dict[bytes, bytes], observer: Observer) -> None:
        super().__init__(data)
        self._observer = observer

    def __getitem__(self, key: bytes) -> bytes:
        self._observer.on_read(os.fsdecode(key))
        return super().__getitem__(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if self.get(key) != value:
            self._observer.on_change(os.fsdecode(key))
        super().__setitem__(key, value)

    def __delitem__(self, key: bytes) -> None:
        if key in self:
            self._observer.on_change(os.fsdecode(key))
        super().__delitem__(key)
