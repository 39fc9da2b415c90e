"""Which modules were looked for while the application was imported: if others are there now, it is another import."""

import os
from importlib.machinery import all_suffixes

from warmfork.snapshot.record import Record

_SUFFIXES = frozenset(all_suffixes())


class Searches:
    """Notes in a record which modules were looked for in which folder."""

    def __init__(self, record: Record) -> None:
        """Nothing was looked for yet."""
        self._record = record
        # When names last came or went in a folder, in nanoseconds, and what there was, by the module's name.
        self._times: dict[str, int] = {}
        self._listings: dict[str, dict[str, list[str]]] = {}

    def add(self, folder: str, name: str) -> None:
        """Note that a module of this name is being looked for in the folder, which may not be there."""
        if folder not in self._listings:
            self._times[folder] = _time(folder)
            self._listings[folder] = _modules(folder)
        self._record.searched.setdefault(folder, {})[name] = self._listings[folder].get(name, [])

    def changed(self) -> set[str]:
        """Return paths, without suffixes, at which there are other modules now than when they were looked for."""
        found = set()
        for folder, time in self._times.items():
            if _time(folder) == time:
                continue
            now = _modules(folder)
            names = self._record.searched[folder].items()
            found |= {f"{folder}{os.sep}{name}" for name, before in names if now.get(name, []) != before}
        return found


def _time(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - for each folder that modules are looked for in
    except OSError:
        return 0


def _modules(folder: str) -> dict[str, list[str]]:
    """Return names of files and folders that may be a module, by the module's name."""
    found: dict[str, list[str]] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return found
    for name in sorted(names):
        stem, dot, suffix = name.partition(".")
        if not dot or f".{suffix}" in _SUFFIXES:
            found.setdefault(stem, []).append(name)
    return found
