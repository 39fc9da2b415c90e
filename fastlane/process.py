"""Programs that run beside this one, print JSON and never outlive it."""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self, cast

from fastlane.trouble import Trouble

# Bytes of one line: a pod's description, or a reply with a long error.
_LONGEST_LINE = 1 << 20
# Seconds that a program may take to end, and to say why it has ended.
_PATIENCE = 2.0


class Program:
    """A running program, spoken with through its standard streams."""

    def __init__(self, process: Process) -> None:
        """Take over a process that has pipes."""
        self._process = process
        self._input = cast("asyncio.StreamWriter", process.stdin)
        self._output = cast("asyncio.StreamReader", process.stdout)
        self._errors = cast("asyncio.StreamReader", process.stderr)

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, command: Sequence[str]) -> AsyncIterator[Self]:
        """Run the command, and end it at the end. Raises Trouble when it cannot be started."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LONGEST_LINE
            )
        except FileNotFoundError:
            raise Trouble(f"{command[0]} is not on PATH: make doctor tells what is missing") from None
        except OSError as error:
            raise Trouble(f"{command[0]} does not start: {error.strerror}") from None
        try:
            yield cls(process)
        finally:
            await _end(process)

    def write(self, line: bytes) -> None:
        """Pass the line on, without waiting."""
        self._input.write(line)

    async def line(self) -> dict[str, Any]:
        """Return the next line. Raises Trouble when it is no JSON object, or with the program's last words."""
        try:
            line = await self._output.readline()
        except ValueError:
            raise Trouble(f"a line of more than {_LONGEST_LINE} bytes came") from None
        if not line:
            raise Trouble(await self._last_words())
        return _parse(line)

    async def output(self) -> dict[str, Any]:
        """Return everything at the program's end. Raises Trouble as line() does, and when the program fails."""
        output = await self._output.read()
        last_words = await self._last_words()
        if await self._process.wait():
            raise Trouble(last_words)
        return _parse(output)

    async def _last_words(self) -> str:
        """Return the last line of standard error, where programs say why they end."""
        errors = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                errors = await self._errors.read()
        said = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
        # kubectl's own last line tells the exit code, the program's before it the cause.
        causes = [line for line in said if not line.startswith("command terminated with exit code")]
        return (causes or said or ["the connection ended"])[-1]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Trouble(f"what came is no JSON object: {text[:60]!r}")
    return fields


async def _end(process: Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            # Not by the process's own methods: they would take an exit status away that asyncio waits for.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
                return
