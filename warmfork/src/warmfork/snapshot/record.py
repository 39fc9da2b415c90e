"""What importing an application has executed and read: what it depends on, whatever its import statements say."""

import os
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from warmfork.snapshot.signature import signature


@dataclass
class Record:
    """What one process has executed and read while it imported the application.

    Paths are text, as the file was opened. files: of each executed module, by name, in the order in which their imports
    began; digests: hexadecimal, of the files as they were executed; imported: whom each module was the first to
    import; subclassing: modules with classes of which a class of another one takes note; read: files and
    folders that were read while a module was executed, by its name; signatures: of those then; searched: what there
    was when a module was looked for, by folder and name; asking: modules that have asked other programs, databases or
    persons, whose answers may be others by now; setting: variables of the environment that it has set; writing: modules
    that have written files.
    """

    files: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    imported: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    subclassing: set[str] = field(default_factory=set)
    read: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    signatures: dict[str, list[int]] = field(default_factory=dict)
    searched: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    asking: set[str] = field(default_factory=set)
    setting: set[str] = field(default_factory=set)
    writing: set[str] = field(default_factory=set)

    def note_read(self, module: str, path: str, signature: list[int]) -> None:
        """Note that the module reads a file or a folder, which is in that state."""
        self.read[module].add(path)
        self.signatures.setdefault(path, signature)

    def note_first_imports(self, before: "Record", ahead: Iterable[str]) -> None:
        """Note who imports modules first that were imported ahead, as it was before, where that is what it was."""
        for importer, imported in before.imported.items():
            file = before.files.get(importer)
            if file and self.digests.get(file) == before.digests.get(file):
                self.imported[importer] |= imported.intersection(ahead)

    def forget(self, path: str) -> None:
        """Take note that what is read there is of no importance."""
        self.signatures.pop(path, None)
        for paths in self.read.values():
            paths.discard(path)

    @property
    def watched(self) -> dict[str, list[int]]:
        """Signatures of what was executed or read: not of what was only asked for its size or time."""
        paths = {*self.files.values()}.union(*self.read.values())
        return {path: state for path, state in self.signatures.items() if path in paths}

    def outdated(self) -> set[str]:
        """Return those of the paths that are not as they were."""
        return {path for path, state in self.signatures.items() if signature(path) != state}

    def touches(self, paths: Iterable[str]) -> set[str]:
        """Return those of the paths that were executed or read."""
        return {path for path in paths if path in self.digests or path in self.signatures}

    def has_missed(self, path: str) -> bool:
        """Tell whether a module was looked for that this file would hold, and was not executed."""
        folder, name = os.path.split(path)
        stem, _, suffix = name.partition(".")
        if stem == "__init__":
            folder, stem = os.path.split(folder)
        is_executed = path in self.digests or path in self.signatures
        return bool(suffix) and stem in self.searched.get(folder, {}) and not is_executed

    def modules_of(self, paths: set[str]) -> set[str]:
        """Return the modules that one of the paths holds, or that have read one of them."""
        executed = {name for name, path in self.files.items() if path in paths}
        return executed | {name for name, read in self.read.items() if not paths.isdisjoint(read)}

    def reached_without(self, modules: AbstractSet[str]) -> set[str]:
        """Return what all other modules than these have executed or read."""
        others = self.files.keys() - modules
        return {self.files[name] for name in others} | {path for name in others for path in self.read.get(name, ())}

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "files": self.files,
            "digests": self.digests,
            "imported": {name: sorted(names) for name, names in self.imported.items()},
            "subclassing": sorted(self.subclassing),
            "read": {name: sorted(paths) for name, paths in self.read.items()},
            "signatures": self.signatures,
            "searched": self.searched,
            "asking": sorted(self.asking),
            "setting": sorted(self.setting),
            "writing": sorted(self.writing),
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Record":
        """Return what as_json() has described."""
        record = cls(fields["files"], fields["digests"])
        record.signatures, record.searched = fields["signatures"], fields["searched"]
        record.asking, record.setting, record.writing = (set(fields[name]) for name in ("asking", "setting", "writing"))
        record.imported.update({name: set(names) for name, names in fields["imported"].items()})
        record.subclassing.update(fields["subclassing"])
        record.read.update({name: set(paths) for name, paths in fields["read"].items()})
        return record
