"""Rows in a CSV file: each is on the disk as soon as it is known, so that an interruption loses none."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


class Results:
    """A CSV file that only grows."""

    def __init__(self, path: Path, columns: Sequence[str], *, append: bool = False) -> None:
        """Begin the file anew, or go on with the one that is there."""
        self._path = path
        self._columns = columns
        path.parent.mkdir(parents=True, exist_ok=True)
        if not append or not path.exists():
            self._write("w", None)

    def add(self, row: Mapping[str, object]) -> None:
        """Write a row that has all columns and no other."""
        self._write("a", row)

    def rows(self) -> list[dict[str, str]]:
        """Return all rows."""
        with self._path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, mode: str, row: Mapping[str, object] | None) -> None:
        with self._path.open(mode, newline="") as file:
            writer = csv.DictWriter(file, self._columns, lineterminator="\n")
            if row is None:
                writer.writeheader()
            else:
                writer.writerow(row)
