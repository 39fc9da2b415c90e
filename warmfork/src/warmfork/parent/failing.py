"""What becomes of a change that cannot be served: the old code serves on, and the change is tried again."""

import time
from pathlib import Path

from warmfork import report
from warmfork.events import EventLoop
from warmfork.failure import Failure
from warmfork.parent.application import Application
from warmfork.parent.handover import Handover
from warmfork.parent.pending import PendingChange
from warmfork.parent.preparation import Preparation
from warmfork.parent.processes import Process, Processes, Role
from warmfork.parent.restless import Restless
from warmfork.parent.retry import Retry, is_conflict
from warmfork.parent.starting import Starting

# A process that ends before it is so many seconds old is replaced as one that has not started, less and less often.
_MINIMUM_UPTIME = 1.0


class Failing:
    """Says why something is not served, and tries again what may go well another time."""

    def __init__(  # noqa: PLR0913 - the parts that take part
        self,
        events: EventLoop,
        *,
        address: str,
        processes: Processes,
        handover: Handover,
        preparation: Preparation,
        starting: Starting,
        application: Application,
        pending: PendingChange,
        restless: Restless,
    ) -> None:
        """Nothing has failed. address: where the application is served, for people."""
        self._events = events
        self._address = address
        self._processes = processes
        self._handover = handover
        self._preparation = preparation
        self._starting = starting
        self._application = application
        self._pending = pending
        self._restless = restless
        self._retry = Retry()
        # Why the present state is not served.
        self.failure: Failure | None = None

    def note_change(self) -> None:
        """Take note that something has changed, so what has failed may go well."""
        self._events.cancel("retry")
        self._retry.forget()

    def note_success(self) -> None:
        """Take note that the present state is served; its process may end soon nevertheless."""
        self.failure = None
        self._events.cancel("retry")
        self._retry.succeed()
        self._events.call_later("uptime", _MINIMUM_UPTIME, self._retry.forget)

    def note_touched(self) -> None:
        """Take note that files were written whose content is as it was."""
        # Another tool may have replaced one just when it was imported.
        if self._retry.is_due:
            self._try_again()

    def fail(self, failure: Failure, *, is_known: bool = False) -> None:
        """Go on with the old code, or show the failure where there is none; without a word if it is known."""
        self._handover.give_up_alone()
        self._events.cancel("uptime")
        self.failure = failure = failure.about(tuple(report.name(path) for path in sorted(self._pending.files)))
        self._starting.has_ended()
        serving = self._processes.serving
        goes_on = serving is not None and not serving.is_fallback
        kept = "the old code serves on" if goes_on else f"nothing serves; {self._address} shows why"
        if not is_known:
            report.log(f"{self._pending}: not reloaded, {kept}")
            report.write(failure.traceback)
        self._pending.fail(failure.error)
        self._handover.resume(failure)
        if not goes_on and not is_known:
            self._starting.with_failure(failure)
        self._preparation.soon(is_served=False)

    def on_exit(self, process: Process, role: Role, code: int) -> None:
        """Do what is to be done about the end of a process, which had that role."""
        if role is Role.STARTING:
            if process.outdated or (process.was_standby and not process.is_prepared) or not process.pid:
                # What it had imported ahead was not as it should be; that says nothing about the change.
                if process.outdated:
                    names = report.files([Path(name) for name in process.outdated])
                    report.log(f"the prepared process had an older {names}; importing everything")
                if process.is_misplaced:
                    self._preparation.note_useless(process)
                self._starting.whole()
            elif not process.is_fallback:
                self._restless.settle()
                self._fail(process, code)
        elif role is Role.STANDBY and process.failure:
            self._preparation.note_useless(process)
        elif role is Role.SERVING and not self._processes.one(Role.STARTING) and not self._handover.is_making_alone:
            if process.age < _MINIMUM_UPTIME:
                self._fail(process, code)
            else:
                report.log(f"the serving process ended {report.ending(code)}; starting another")
                self._pending.began = time.monotonic()
                self._starting.whole()

    def _fail(self, process: Process, code: int) -> None:
        """Go on without a process that has ended, and try again if that may help."""
        failure = process.failure or _ended(code)
        # Without a word it was killed, most likely by somebody else, as for want of memory.
        process.failed_at_startup |= process.failure is None
        serving = self._processes.serving
        if serving and not serving.is_fallback and is_conflict(failure.traceback, serving.age):
            # Most likely with what serves, as under a server that lets the old process end first it would not be.
            self._application.note_conflict(failure.error)
            self._starting.alone()
            return
        # Also with the same consequence: what served may have ended meanwhile.
        is_known = self._retry.is_known(failure.error) and self._processes.serving is not None
        self.fail(failure, is_known=is_known)
        pause = self._retry.failed(failure.error, at_startup=process.failed_at_startup)
        if pause is not None:
            self._events.call_later("retry", pause, self._try_again)
        if process.failed_at_startup and not is_known:
            report.log(f"it is tried again in {pause:g} s, and then less and less often")

    def _try_again(self) -> None:
        """Import the present state once more."""
        if not self._starting.is_under_way:
            self._pending.begin_again()
            self._starting.whole()


def _ended(code: int) -> Failure:
    text = f"the process ended {report.ending(code)}"
    return Failure(text, text)
