"""What the parent tells the person at the terminal: one line for each thing that happens."""

import os
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_SHOWN_FILES = 3
# How Python's strings carry the bytes of a file name that is not UTF-8 (PEP 383).
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def log(text: str) -> None:
    """Print a line of warmfork's own."""
    write(f"warmfork: {text}")


def write(text: str) -> None:
    """Print to the error stream, whatever it can show; a terminal that is gone is no reason to end."""
    try:
        encoding = sys.stderr.encoding or "utf-8"
        sys.stderr.write(f"{printable(text).encode(encoding, 'backslashreplace').decode(encoding)}\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - a library may have put anything in its place
        with suppress(OSError):
            os.write(2, f"{printable(text)}\n".encode())


def flush() -> None:
    """Let go of what was printed and not passed on yet."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def printable(text: str) -> str:
    """Return the text as any stream and JSON can hold it: bytes of a name that is not UTF-8 become escapes."""
    shown = _ESCAPED_BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)
    return shown.encode(errors="backslashreplace").decode()


def files(paths: Collection[Path]) -> str:
    """Return the names of files for a line, empty when there are none."""
    names = [name(path) for path in sorted(paths)]
    if len(names) > _SHOWN_FILES:
        return f"{names[0]} and {len(names) - 1} more"
    return ", ".join(names)


def name(path: Path) -> str:
    """Return the shortest way to name a file to a person."""
    # A working directory that has been deleted has no name.
    with suppress(FileNotFoundError):
        here = Path.cwd()
        if here in path.parents:
            return printable(str(path.relative_to(here)))
    return printable(str(path))


def ending(code: int) -> str:
    """Return how a process has ended. code: as of os.waitstatus_to_exitcode()."""
    return f"by signal {-code}" if code < 0 else f"with status {code}"
