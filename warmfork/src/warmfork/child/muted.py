"""Executes what another process has executed before, without a second line of what that has printed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from warmfork import report

_OUTPUTS = (1, 2)


@contextmanager
def muted(*, is_active: bool) -> Iterator[None]:
    """Let nothing be printed, by whatever way; or do nothing where that is not to be."""
    if not is_active:
        yield
        return
    report.flush()
    saved = [os.dup(number) for number in _OUTPUTS]
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no file of anybody's
        for number in _OUTPUTS:
            os.dup2(nowhere.fileno(), number)
    yield
    report.flush()
    for number, copy in zip(_OUTPUTS, saved, strict=True):
        os.dup2(copy, number)
        os.close(copy)
