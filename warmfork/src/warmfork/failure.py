"""Why code did not start, in the form that people read it: the error first, then the frames from the innermost out."""

import asyncio
import traceback
from dataclasses import asdict, dataclass, replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

import uvicorn

from warmfork.report import printable

# What a log line and a message between processes can take.
_MAXIMUM_CHARACTERS = 50_000
# Frames of these are of no interest to the author of an application.
_OWN = str(Path(__file__).parent)
_MACHINERY = ("<frozen ", _OWN, str(Path(uvicorn.__file__).parent))
_LOOPS = (str(Path(asyncio.__file__).parent), "uvloop/")


@dataclass(frozen=True)
class Failure:
    """A change that did not start.

    error: the exception in one line; traceback: the error, then frames, the innermost first.
    """

    error: str
    traceback: str
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Describe an exception."""
        summary = "".join(traceback.format_exception_only(error)).rstrip()
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(_MACHINERY) and "importlib" not in Path(frame.filename).parts
        ]
        # It may be the application that goes through the loop, but not all of it does.
        frames = list(dropwhile(lambda frame: frame.filename.startswith(_LOOPS), frames))
        lines = [summary, *(line.rstrip() for frame in reversed(frames) for line in traceback.format_list([frame]))]
        if error.__cause__ is not None:
            lines += ["caused by", cls.of(error.__cause__).traceback]
        first, *_ = str(error).splitlines() or [""]
        headline = f"{type(error).__name__}: {first}" if first else type(error).__name__
        # Names of files that are not UTF-8, and half a surrogate pair in a message, cannot be written as they are.
        return cls(printable(headline), printable("\n".join(lines))[:_MAXIMUM_CHARACTERS])

    @classmethod
    def of_text(cls, text: str) -> "Failure":
        """Describe an error of which only Python's own account is left."""
        lines = text.rstrip().splitlines() or ["no reason given"]
        starts = [number for number, line in enumerate(lines) if line.startswith('  File "')]
        if not starts:
            return cls(lines[-1], text[:_MAXIMUM_CHARACTERS])
        end = next(
            (number for number in range(starts[-1] + 1, len(lines)) if not lines[number].startswith(" ")), len(lines)
        )
        frames = [lines[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
        summary = lines[end:] or [lines[-1]]
        newest_first = [line for frame in reversed(frames) for line in frame]
        return cls(summary[-1], "\n".join([*summary, *newest_first])[:_MAXIMUM_CHARACTERS])

    def about(self, files: tuple[str, ...]) -> "Failure":
        """Return the same for the files that were changed."""
        return replace(self, files=files)

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)
