"""A copy of a sample application in a folder of its own, and the ways in which editors save."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

APPLICATIONS = Path(__file__).parent / "applications"

# Puts text into a file.
Save = Callable[[Path, str], object]


def atomically(path: Path, text: str) -> None:
    """Write beside the file, then rename: Vim, JetBrains, most formatters, tar and rsync."""
    beside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    beside.write_text(text)
    beside.rename(path)


def in_place(path: Path, text: str) -> None:
    """Truncate and write: VS Code, nano, a shell's redirection."""
    path.write_text(text)


def slowly(path: Path, text: str) -> None:
    """Truncate and write in two parts: a full disk, a network file system."""
    half = len(text) // 2
    with path.open("w") as file:
        time.sleep(0.04)
        file.write(text[:half])
        file.flush()
        time.sleep(0.04)
        file.write(text[half:])


class Project:
    """A working directory with one package in it."""

    def __init__(self, directory: Path, package: str, save: Save = atomically) -> None:
        self.directory = directory
        self.package = package
        self.save = save
        shutil.copytree(APPLICATIONS / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))

    def path(self, name: str) -> Path:
        """Return the path of a file of the package."""
        return self.directory / self.package / name

    def write(self, name: str, text: str) -> None:
        """Save text under the name, in a new file if need be."""
        self.save(self.path(name), text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Save the file with the only occurrence of old replaced."""
        text = self.path(name).read_text()
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        self.write(name, text.replace(old, new))

    def append(self, name: str, text: str) -> None:
        """Save the file with text at its end."""
        self.write(name, self.path(name).read_text() + text)

    def touch(self, name: str) -> None:
        """Make an empty file in the working directory, which the application waits for."""
        (self.directory / name).touch()

    def exists(self, name: str) -> bool:
        """Tell whether the application has made a file in the working directory."""
        return (self.directory / name).exists()
