"""Which code objects the application's import runs, which it only makes functions of, and who has looked at those."""

import gc
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any

from warmfork.audit import CAUSE, listen
from warmfork.child.swap import HAVE_LINES, LINE, Pair, RefusalError, compare, is_same
from warmfork.snapshot.loader import module_spec

# Of the numbers for tools that sys.monitoring has, two that no kind of tool is meant to take.
_TOOLS = (3, 4)
_NAME = "warmfork"
# Who looks at a function's code for its signature alone, by module; of these not what looks into the body.
_READERS = {"inspect", "sqlalchemy.util.compat"}
_READS_BODY = "getclosurevars"


class Executed:
    """Watches the application's modules from their execution on. Needs sys.monitoring, of Python 3.12."""

    def __init__(self) -> None:
        """Begin to watch what is told to execute()."""
        # By the file's path.
        self._modules: dict[str, CodeType] = {}
        self._ran = Codes()
        self._looked_at = Codes()
        # By the identity of their code.
        self._functions: dict[int, list[FunctionType]] = {}
        # By file, name and line.
        self._classes: dict[tuple[str, str, int], list[type]] = {}
        # Files of which there are functions that the module's text does not show.
        self._strange: set[str] = set()
        self._is_importing = True
        self._frozen = gc.get_freeze_count()
        self._tool = _free_tool()
        if self._tool is not None:
            sys.monitoring.use_tool_id(self._tool, _NAME)
            sys.monitoring.register_callback(self._tool, sys.monitoring.events.PY_START, self._on_start)
        listen(("object.__getattr__",), self._on_getattr)

    def execute(self, file: str, code: CodeType) -> None:
        """Take note that a module's code is about to be executed."""
        if self._modules.setdefault(file, code) is not code:
            self._strange.add(file)
        self._watch(code)

    def stop(self) -> None:
        """Take note that the application is imported."""
        self._is_importing = False

    @contextmanager
    def watching(self, *, is_active: bool = True) -> Iterator[None]:
        """Take note of what runs meanwhile as if the import ran it, or of nothing."""
        was_importing, self._is_importing = self._is_importing, is_active
        try:
            yield
        finally:
            self._is_importing = was_importing

    @property
    def is_known(self) -> bool:
        """Whether it is known what ran."""
        return self._tool is not None and sys.monitoring.get_tool(self._tool) == _NAME

    def find_functions(self) -> None:
        """Find all functions and classes made of the application's code.

        The parent has frozen its own objects, among which there are none. To look at those would copy all their pages.
        """
        with self.watching(is_active=False):
            self._find_functions()

    def _find_functions(self) -> None:
        codes = Codes(inner for code in self._modules.values() for inner in _tree(code))
        functions: defaultdict[int, list[FunctionType]] = defaultdict(list)
        classes: defaultdict[tuple[str, str, int], list[type]] = defaultdict(list)
        if gc.get_freeze_count() > self._frozen:
            # The application has done so.
            gc.unfreeze()
        for one in gc.get_objects():
            if type(one) is FunctionType:
                code = one.__code__
                if code in codes:
                    functions[id(code)].append(one)
                elif code.co_filename in self._modules:
                    self._strange.add(code.co_filename)
            elif HAVE_LINES and issubclass(type(one), type) and (line := vars(one).get(LINE)):
                spec = module_spec(one.__module__)
                classes[getattr(spec and spec.loader, "file", ""), one.__qualname__, line].append(one)
        self._functions, self._classes = dict(functions), dict(classes)

    def swap(self, changed: Mapping[str, CodeType | None]) -> None:
        """Let the functions of these files do what the newer code says; all or none. Raises RefusalError.

        changed: the newer code by the file's path; None where it does not compile.
        """
        with self.watching(is_active=False):
            pairs = [pair for file, new in changed.items() for pair in self._plan(file, new)]
            for pair in pairs:
                self._replace(pair)
            self._move_classes(pairs)
        new_modules = {file: new for file, new in changed.items() if new}
        self._modules |= new_modules
        if self._is_importing:
            for new in new_modules.values():
                self._watch(new)

    def _plan(self, file: str, new: CodeType | None) -> list[Pair]:
        if new is None:
            raise RefusalError("it does not compile")
        if file in self._strange:
            raise RefusalError("functions are made of more than its text")
        pairs = list(compare(self._modules[file], new, self._ran))
        for pair in pairs:
            # Whoever has looked into it may have taken its lines.
            if pair.old in self._looked_at and pair.old != pair.new:
                raise RefusalError(f"the code of {pair.old.co_qualname} was looked into when it was imported")
            if self._is_held(pair) and not is_same(pair.old, pair.new):
                raise RefusalError(f"the code of {pair.old.co_qualname} is in use beside the function")
        return pairs

    def _is_held(self, pair: Pair) -> bool:
        """Tell whether something beside functions and the code around it holds the code, such as a generator."""
        functions = self._functions.get(id(pair.old), ())
        # The code around it, the pair, the argument, and what is noted here.
        known = 3 + len(functions) + (pair.old in self._ran)
        return sys.getrefcount(pair.old) > known

    def _replace(self, pair: Pair) -> None:
        functions = self._functions.pop(id(pair.old), [])
        for function in functions:
            function.__code__ = pair.new
        if functions:
            self._functions[id(pair.new)] = functions
        for known in (self._ran, self._looked_at):
            if pair.old in known:
                known.discard(pair.old)
                known.add(pair.new)

    def _move_classes(self, pairs: list[Pair]) -> None:
        """Let classes say where they begin now."""
        moved = [(new, self._classes.pop(_place(old), [])) for old, new, _ in pairs]
        for new, classes in moved:
            for one in classes:
                # Not in the class's own way, which may forbid it.
                type.__setattr__(one, LINE, new.co_firstlineno)
            if classes:
                self._classes[_place(new)] = classes

    def _on_start(self, code: CodeType, _: int) -> object:
        if self._is_importing:
            self._ran.add(code)
        return sys.monitoring.DISABLE

    def _on_getattr(self, _: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_importing or arguments[1] != "__code__":
            return
        reader = sys._getframe(CAUSE)  # noqa: SLF001
        if reader.f_globals.get("__name__") in _READERS and reader.f_code.co_name != _READS_BODY:
            return
        with self.watching(is_active=False):
            self._looked_at.add(arguments[0].__code__)

    def _watch(self, code: CodeType) -> None:
        if self._tool is not None:
            for inner in _tree(code):
                sys.monitoring.set_local_events(self._tool, inner, sys.monitoring.events.PY_START)


class Codes:
    """A set of code objects. Of two that are equal, as those of equal files are, it knows which one is in it."""

    def __init__(self, codes: Iterable[CodeType] = ()) -> None:
        """Begin with some."""
        self._codes = {id(code): code for code in codes}

    def __contains__(self, code: object) -> bool:
        """Whether this very object is in it."""
        return id(code) in self._codes

    def add(self, code: CodeType) -> None:
        """Put one in."""
        self._codes[id(code)] = code

    def discard(self, code: CodeType) -> None:
        """Take one out, if it is in."""
        self._codes.pop(id(code), None)


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _free_tool() -> int | None:
    return next((tool for tool in _TOOLS if sys.monitoring.get_tool(tool) is None), None)


def _tree(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _tree(one)
