"""What running the application has shown: what it executes and reads, what it starts, and what it cannot share."""

from collections.abc import Iterable
from typing import Any

from warmfork import report
from warmfork.child.swap import RefusalError, compare
from warmfork.snapshot.record import Record
from warmfork.snapshot.sources import Sources


class Application:
    """What is known of the application since its process last began to serve.

    record: what the serving process has executed and read; exclusive: in words, what it has started when it was
    imported or holds since its start; with any of it, it never runs twice at a time; started_in: seconds.
    """

    def __init__(self, name: str, exclusive: str = "") -> None:
        """name: for lines; exclusive: what a former parent has found."""
        self.record = Record()
        self.exclusive = exclusive
        self.started_in = 0.0
        self._name = name
        # Files that one of its processes has read while it served.
        self.read_later: set[str] = set()
        self._unfit = ""
        # Why it did not start beside itself.
        self._conflict = ""
        # Libraries that it imported late.
        self._learned: list[str] = []

    @property
    def is_fit(self) -> bool:
        """Whether a process that has imported it can be forked."""
        return not self.exclusive and not self._unfit

    def has_not_read(self, file: str) -> bool:
        """Tell whether nobody was seen to read a file, which is no Python: who does so otherwise is not known."""
        return not file.endswith(".py") and file not in self.read_later and not self.record.touches([file])

    def must_execute(self, files: Iterable[str], sources: Sources) -> str:
        """Return why a module must be executed, as far as its texts tell; empty where a process has to look.

        files: that have changed since what serves was saved.
        """
        for name in files:
            before, now = sources.replaced(name), sources.find(name)
            is_known = before and self.record.digests.get(name) == before.digest.hex()
            if is_known and before and before.code and now and now.code:
                try:
                    for _ in compare(before.code, now.code, ran=()):
                        pass
                except RefusalError as refusal:
                    return str(refusal)
        return ""

    def note_swapped(self, files: Iterable[str], sources: Sources) -> None:
        """Take note that functions do what these files now say, and nothing was executed."""
        digests = self.record.digests
        digests |= {name: source.digest.hex() for name in files if name in digests and (source := sources.find(name))}

    def note_imported(self, fields: dict[str, Any], seconds: float) -> None:
        """Take note of what a process has told that has imported and started the application in so many seconds."""
        self.started_in = seconds
        self.record = Record.from_json(fields["record"])
        self._learned += fields["learned"]
        found, held = fields["exclusive"], fields["held"]
        reason = f"starts {found} when it is imported" if found else f"holds {held}" if held else self._conflict
        if reason and not self.exclusive:
            report.log(f"{self._name} {reason}, so it runs in one process at a time")
        self.exclusive = reason
        unfit = fields.get("unfit", "")
        if unfit and not self._unfit:
            report.log(f"{self._name} {unfit} when it is imported, so each change is imported")
        self._unfit = unfit

    def note_conflict(self, error: str) -> None:
        """Take note that it did not start beside itself, as it will not at any time."""
        self._conflict = f"needs what only one process can have ({error})"

    def take_learned(self) -> list[str]:
        """Return the libraries that it has imported late since this was last asked."""
        learned, self._learned = self._learned, []
        return learned
