"""Edits of a module's functions, taken over by a process that goes on, beside a fresh process with the same text.

The long run: PYTHONPATH=warmfork/tests:warmfork/src python -m differential.swaps --edits 5000 --seed 1.
"""

import argparse
import asyncio
import inspect
import linecache
import random
import re
import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import Any

import httpx

from warmfork.child.executed import Executed
from warmfork.child.swap import RefusalError

# Pieces of a module: a text with what edits change in it, and in its last line what asks for its effect. OUT0, OUT1 …
# are numbers that the import executes or shows, RAN0 … are in functions that it runs, IN0 … in bodies alone.
PIECES = {
    path.stem: tuple(path.read_text().split("# asked: "))
    for path in sorted((Path(__file__).parent / "pieces").iterdir())
}
_MARK = re.compile(r"(?:OUT|RAN|IN)\d")


@dataclass
class Text:
    """A module's text: pieces in their order, the numbers in them, and lines of comments between them."""

    kinds: list[str]
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)
    comments: dict[int, int] = field(default_factory=dict)

    def render(self) -> str:
        """Return the text."""
        parts = ["import asyncio\n"]
        for place, kind in enumerate(self.kinds):
            numbers = {mark: str(self.numbers.get((place, mark), 1)) for mark in marks(kind)}
            text = _MARK.sub(lambda found: numbers[found[0]], PIECES[kind][0])  # noqa: B023 - called at once
            parts.append("# a line\n" * self.comments.get(place, 0) + text)
        return "\n".join(parts)


def marks(kind: str) -> list[str]:
    """Return what edits change in a piece."""
    return sorted(set(_MARK.findall(PIECES[kind][0])))


class Process:
    """A process that has executed a module, as far as swapping goes."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = str(path)
        self.namespace: dict[str, Any] = {"__name__": "module"}
        self._executed = Executed()
        code = self._compile(text)
        self._executed.execute(self._path, code)
        exec(code, self.namespace)  # noqa: S102 - of this folder
        self._executed.stop()
        self._executed.find_functions()

    def swap(self, text: str) -> None:
        """Raises RefusalError."""
        self._executed.swap({self._path: self._compile(text)})

    def close(self) -> None:
        """Let another process have the tool's number."""
        sys.monitoring.free_tool_id(self._executed._tool)  # type: ignore[arg-type]

    def _compile(self, text: str) -> CodeType:
        return compile(text, self._path, "exec", dont_inherit=True)


def answers(namespace: dict[str, Any], text: Text) -> list[str]:
    """Return what each piece answers."""
    functions = {"run": asyncio.run, "trace": trace, "ask": ask}
    found: list[str] = []
    for kind in text.kinds:
        try:
            found.append(repr(eval(PIECES[kind][1], {**functions, **namespace})))  # noqa: S307
        except Exception as error:  # noqa: BLE001 - it is compared
            found.append(f"{type(error).__name__}: {error}")
    found += [str(inspect.signature(one)) for one in namespace.values() if inspect.isfunction(one)]
    return [re.sub("at 0x[0-9a-f]+", "somewhere", one) for one in found]


def trace(function: Any) -> str:  # noqa: ANN401
    """Return the lines of the traceback that calling it gives."""
    try:
        function()
    except ZeroDivisionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return str([(frame.name, frame.lineno, frame.line) for frame in frames if frame.name != "trace"])
    return "nothing"


def ask(application: Any, *paths: str) -> list[object]:  # noqa: ANN401
    """Return the answers of an ASGI application."""

    async def get() -> list[object]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            found = [await client.get(path) for path in paths]
        return [(one.status_code, one.text, one.headers.get("x-m")) for one in found]

    return asyncio.run(get())


@dataclass
class Run:
    """Counts of edits: by kind, of those that may be swapped and were, and what was wrong."""

    edits: int = 0
    bodies: int = 0
    swapped: int = 0
    wrong: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    def module(self, seed: int, edits: int) -> None:
        """Edit one module so many times in a row, in a process that goes on as long as it can."""
        chance = random.Random(seed)  # noqa: S311 - it is to be repeatable
        text = Text(chance.sample(sorted(PIECES), chance.randint(1, 6)))
        with TemporaryDirectory() as folder:
            # Each process has a file of its own: what an earlier one has made may not have been collected yet.
            paths = (Path(folder) / f"module{number}.py" for number in count())
            path, fresh = next(paths), Path(folder) / "fresh.py"
            process = Process(path, text.render())
            for number in range(edits):
                self._edit(chance, text)
                is_body = self.is_body
                for one in (path, fresh):
                    one.write_text(text.render())
                linecache.clearcache()
                try:
                    process.swap(text.render())
                except RefusalError as refusal:
                    self.refusals[str(refusal).partition(" in line")[0]] += is_body
                    process.close()
                    path = next(paths)
                    path.write_text(text.render())
                    process = Process(path, text.render())
                else:
                    self.swapped += is_body
                wanted, found = answers(execute(fresh, text), text), answers(process.namespace, text)
                if wanted != found:
                    both = zip(wanted, found, strict=False)
                    different = next(((a, b) for a, b in both if a != b), (wanted, found))
                    self.wrong.append(
                        f"seed {seed}, edit {number} of {text.kinds}: {different[1]} is not {different[0]}"
                    )
                    break
            process.close()

    def _edit(self, chance: random.Random, text: Text) -> None:
        """Change one number, or the place of what follows; most edits are of a function's body."""
        self.edits += 1
        place = chance.randrange(len(text.kinds))
        possible = marks(text.kinds[place])
        inside = [mark for mark in possible if mark.startswith("IN")]
        is_inside = bool(inside) and chance.random() < 0.8
        self.is_body = False
        if chance.random() < 0.1:
            text.comments[place] = chance.randint(0, 3)
            self.is_body = True
        elif possible:
            mark = chance.choice(inside if is_inside else possible)
            text.numbers[place, mark] = chance.randint(1, 9)
            self.is_body = mark in inside
        self.bodies += self.is_body


def execute(path: Path, text: Text) -> dict[str, Any]:
    """Return what a fresh process has in the module."""
    namespace: dict[str, Any] = {"__name__": "module"}
    exec(compile(text.render(), str(path), "exec", dont_inherit=True), namespace)  # noqa: S102
    return namespace


def main() -> int:
    """Run until there are enough edits; return 1 if one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--row", type=int, default=200, help="edits of one module in a row")
    arguments = parser.parse_args()
    run = Run()
    seed = arguments.seed
    while run.edits < arguments.edits:
        run.module(seed, min(arguments.row, arguments.edits - run.edits))
        seed += 1
    lines = [
        f"{run.edits} edits from seed {arguments.seed}: {len(run.wrong)} wrong",
        f"of {run.bodies} that touch bodies alone {run.swapped} were swapped",
        *run.wrong,
        *(f"{number} x {why}" for why, number in run.refusals.most_common() if number),
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
