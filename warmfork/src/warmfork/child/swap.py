"""Decides whether a process that has executed an older text of a module can take over a newer one without executing it.

What ran while the module was executed must do the same as before. What has not run may do anything, as long as whoever
has looked at the function since would have seen the same.
"""

import dis
import sys
from collections.abc import Container, Iterator
from types import CodeType
from typing import NamedTuple

# Set by the compiler in a class's body from 3.13 on: where that begins, which may move.
LINE = "__firstlineno__"
HAVE_LINES = sys.version_info >= (3, 13)
# Since 3.12 sys.monitoring tells what ran.
IS_SUPPORTED = sys.version_info >= (3, 12)


class Pair(NamedTuple):
    """A code object as it was executed, and the one in its place. has_run: also while the module was executed."""

    old: CodeType
    new: CodeType
    has_run: bool


class RefusalError(Exception):
    """The newer text must be executed; the text says why in a few words."""


def compare(old: CodeType, new: CodeType, ran: Container[CodeType]) -> Iterator[Pair]:
    """Yield all code objects in a module of which functions may have been made. Raises RefusalError.

    ran: code objects that ran while the module was executed.
    """
    _compare_executed(old, new)
    for inner_old, inner_new in zip(_inner(old), _inner(new), strict=True):
        has_run = inner_old in ran
        yield Pair(inner_old, inner_new, has_run)
        if has_run:
            yield from compare(inner_old, inner_new, ran)
        else:
            _compare_signatures(inner_old, inner_new)


def is_same(old: CodeType, new: CodeType) -> bool:
    """Tell whether both do the same, and all code objects in them."""
    if _without_lines(old) != _without_lines(new):
        return False
    return all(is_same(*pair) for pair in zip(_inner(old), _inner(new), strict=True))


def _compare_executed(old: CodeType, new: CodeType) -> None:
    """Raise RefusalError unless both do the same, apart from what the code objects in them do."""
    if LINE in old.co_names or LINE in new.co_names:
        is_equal = _shape(old) == _shape(new) and list(_instructions(old)) == list(_instructions(new))
    else:
        is_equal = _without_lines(old) == _without_lines(new)
    if not is_equal:
        what = "what the import executes" if old.co_name == "<module>" else f"{old.co_qualname}, which has run,"
        raise RefusalError(f"{what} has changed{_where(old, new)}")


def _without_lines(code: CodeType) -> CodeType:
    """Return a code object that is equal to another's if both do the same, constants of the same types included."""
    constants = tuple(None if isinstance(one, CodeType) else one for one in code.co_consts)
    kinds = tuple(isinstance(one, CodeType) for one in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=(*constants, kinds), co_filename="")


def _shape(code: CodeType) -> tuple[object, ...]:
    return (
        code.co_name, code.co_qualname, code.co_flags, code.co_argcount, code.co_posonlyargcount,
        code.co_kwonlyargcount, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_exceptiontable,
    )  # fmt: skip


def _instructions(code: CodeType) -> Iterator[tuple[str, str, str]]:
    """Yield what the code does, without the line in which a class begins."""
    instructions = list(dis.get_instructions(code))
    for instruction, following in zip(instructions, [*instructions[1:], None], strict=True):
        is_line = instruction.argval == LINE or (following is not None and following.argval == LINE)
        value = "" if is_line or isinstance(instruction.argval, CodeType) else instruction.argval
        yield instruction.opname if not is_line else LINE, type(value).__name__, repr(value)


def _where(old: CodeType, new: CodeType) -> str:
    """Return the first line that does something else, in words; empty where none is known."""
    lines = (one.positions and one.positions.lineno for one in dis.get_instructions(new))
    for before, after, line in zip(_instructions(old), _instructions(new), lines, strict=False):
        if before != after:
            return f" in line {line}" if line else ""
    return ""


def _compare_signatures(old: CodeType, new: CodeType) -> None:
    """Raise RefusalError unless functions made of both look the same from outside."""
    for what in ("co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount"):
        if getattr(old, what) != getattr(new, what):
            raise RefusalError(f"the signature of {old.co_qualname} has changed")
    if _parameters(old) != _parameters(new) or (old.co_name, old.co_qualname) != (new.co_name, new.co_qualname):
        raise RefusalError(f"the signature of {old.co_qualname} has changed")
    if old.co_freevars != new.co_freevars:
        raise RefusalError(f"the variables that {old.co_qualname} takes from around it have changed")
    if _docstring(old) != _docstring(new):
        raise RefusalError(f"the docstring of {old.co_qualname} has changed")


def _parameters(code: CodeType) -> tuple[str, ...]:
    starred = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]


def _docstring(code: CodeType) -> str | None:
    # A lambda has none; what it returns may be its first constant.
    first = code.co_consts[0] if code.co_consts and not code.co_name.startswith("<") else None
    return first if isinstance(first, str) else None


def _inner(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]
