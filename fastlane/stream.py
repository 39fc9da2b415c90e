"""The stream to one pod: changed files go out, what became of them comes back."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from fastlane.checkout import Batch, numbers
from fastlane.process import Program
from fastlane.trouble import Trouble
from warmfork.control.stream import PROTOCOL

# Seconds for the programs at both ends to start, and for an outcome.
_GREETING_PATIENCE = 10.0
_REPLY_PATIENCE = 5.0


class Reply(NamedTuple):
    """What became of a batch.

    outcome: "reloaded", "unchanged", "failed", "superseded", "refused", or "undelivered".
    error: why; empty where nothing is wrong.
    written: files that were not like that before.
    """

    outcome: str
    error: str
    written: int = 0


class Stream:
    """One pod's control channel, which connect() opens."""

    def __init__(self, command: Sequence[str], token: str) -> None:
        """command: connects its standard streams to the control channel. token: tells this run from any other."""
        self._command = command
        self._hello = json.dumps({"op": "hello", "protocol": PROTOCOL, "token": token}).encode() + b"\n"
        self._program: Program | None = None
        self._limit = asyncio.timeout(None)
        # By number: who waits for the reply, which is None when the stream breaks before it has come.
        self._awaited: dict[int, Callable[[dict[str, Any] | None], None]] = {}
        # Why nothing can be sent at present.
        self._trouble = "not connected yet"

    async def connect(self, works: Callable[[], None], take_report: Callable[[dict[str, Any]], None]) -> NoReturn:
        """Open the stream and take replies until it breaks; then raise Trouble.

        take_report: is called with what the pod tells without being asked; may raise Trouble.
        """
        try:
            async with Program.started(self._command) as program:
                await self._greet(program)
                self._trouble = "the connection ended"
                works()
                await self._listen(program, take_report)
        except Trouble as trouble:
            self._trouble = str(trouble)
            raise
        finally:
            awaited, self._awaited = self._awaited, {}
            for take in awaited.values():
                take(None)

    def send(self, batch: Batch) -> asyncio.Future[Reply]:
        """Send at once, whatever is under way; the reply comes later, at the latest when the stream breaks."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def take(fields: dict[str, Any] | None) -> None:
            if not reply.done():
                reply.set_result(self._undelivered() if fields is None else _reply(fields))

        self._request(batch.number, batch.message, take)
        return reply

    async def ask(self, **request: object) -> dict[str, Any]:
        """Return the answer to a question. Raises Trouble when the stream breaks before it comes."""
        answer: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        number = next(numbers)
        message = json.dumps({**request, "id": number}).encode() + b"\n"
        self._request(number, message, lambda fields: None if answer.done() else answer.set_result(fields))
        fields = await answer
        if fields is None:
            raise Trouble(self._trouble)
        return fields

    def _request(self, number: int, message: bytes, take: Callable[[dict[str, Any] | None], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._program is None:
            take(None)
            return
        self._program.write(message)
        if not self._awaited:
            self._limit.reschedule(loop.time() + _REPLY_PATIENCE)
        self._awaited[number] = take

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
            error = str(greeting.get("error"))
            # The first version told its own number alone.
            if error.endswith("this is protocol 1"):
                error += f", the sender speaks {PROTOCOL}; take both from one checkout"
            raise Trouble(error)

    async def _listen(self, program: Program, take_report: Callable[[dict[str, Any]], None]) -> NoReturn:
        loop = asyncio.get_running_loop()
        self._program = program
        try:
            async with asyncio.timeout(None) as self._limit:
                while True:
                    fields = await program.line()
                    if "event" in fields:
                        take_report(fields)
                        continue
                    self._take(fields)
                    self._limit.reschedule(loop.time() + _REPLY_PATIENCE if self._awaited else None)
        except TimeoutError:
            raise Trouble(f"no reply within {_REPLY_PATIENCE:.0f} s") from None
        finally:
            self._program = None

    def _take(self, fields: dict[str, Any]) -> None:
        number = fields.get("id")
        take = self._awaited.pop(number, None) if isinstance(number, int) else None
        if take is None:
            raise Trouble(str(fields.get("error", f"a reply to nothing that was sent: {fields}")))
        take(fields)


def _reply(fields: dict[str, Any]) -> Reply:
    outcome = fields.get("outcome") if fields.get("ok") is True else "refused"
    written = fields.get("written")
    return Reply(str(outcome), str(fields.get("error") or ""), written if isinstance(written, int) else 0)
