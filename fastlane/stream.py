"""The stream to one pod: changed files go out, what became of them comes back."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from fastlane.changes import Batch
from fastlane.process import Program
from fastlane.trouble import Trouble

_PROTOCOL = 1
# Seconds for the programs at both ends to start, and for an outcome.
_GREETING_PATIENCE = 10.0
_REPLY_PATIENCE = 5.0


class Reply(NamedTuple):
    """What became of a batch.

    outcome: "reloaded", "unchanged", "failed", "superseded", "refused", or "undelivered".
    error: why; empty where nothing is wrong.
    """

    outcome: str
    error: str


class Stream:
    """One pod's control channel, which connect() opens."""

    def __init__(self, command: Sequence[str], token: str) -> None:
        """command: connects its standard streams to the control channel. token: tells this run from any other."""
        self._command = command
        self._hello = json.dumps({"op": "hello", "protocol": _PROTOCOL, "token": token}).encode() + b"\n"
        self._program: Program | None = None
        self._limit = asyncio.timeout(None)
        self._awaited: dict[int, asyncio.Future[Reply]] = {}
        # Why nothing can be sent at present.
        self._trouble = "not connected yet"

    async def connect(self, works: Callable[[], None]) -> NoReturn:
        """Open the stream and take replies until it breaks; then raise Trouble."""
        try:
            async with Program.started(self._command) as program:
                await self._greet(program)
                self._trouble = "the connection ended"
                works()
                await self._listen(program)
        except Trouble as trouble:
            self._trouble = str(trouble)
            raise
        finally:
            for reply in self._awaited.values():
                if not reply.done():
                    reply.set_result(self._undelivered())
            self._awaited.clear()

    def send(self, batch: Batch) -> asyncio.Future[Reply]:
        """Send at once, whatever is under way; the reply comes later, at the latest when the stream breaks."""
        loop = asyncio.get_running_loop()
        reply = loop.create_future()
        if self._program is None:
            reply.set_result(self._undelivered())
            return reply
        self._program.write(batch.message)
        if not self._awaited:
            self._limit.reschedule(loop.time() + _REPLY_PATIENCE)
        self._awaited[batch.number] = reply
        return reply

    def _undelivered(self) -> Reply:
        return Reply("undelivered", f"{self._trouble}, left to Tilt")

    async def _greet(self, program: Program) -> None:
        program.write(self._hello)
        try:
            async with asyncio.timeout(_GREETING_PATIENCE):
                greeting = await program.line()
        except TimeoutError:
            raise Trouble(f"no greeting within {_GREETING_PATIENCE:.0f} s") from None
        if greeting.get("ok") is not True:
            raise Trouble(str(greeting.get("error")))

    async def _listen(self, program: Program) -> NoReturn:
        loop = asyncio.get_running_loop()
        self._program = program
        try:
            async with asyncio.timeout(None) as self._limit:
                while True:
                    self._take(await program.line())
                    self._limit.reschedule(loop.time() + _REPLY_PATIENCE if self._awaited else None)
        except TimeoutError:
            raise Trouble(f"no reply within {_REPLY_PATIENCE:.0f} s") from None
        finally:
            self._program = None

    def _take(self, fields: dict[str, Any]) -> None:
        number = fields.get("id")
        awaited = self._awaited.pop(number, None) if isinstance(number, int) else None
        if awaited is None:
            raise Trouble(str(fields.get("error", f"a reply to nothing that was sent: {fields}")))
        outcome = fields.get("outcome") if fields.get("ok") is True else "refused"
        awaited.set_result(Reply(str(outcome), str(fields.get("error") or "")))
