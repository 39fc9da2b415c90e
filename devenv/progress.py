"""Steps with a name, an estimate and a log file, printed as they pass."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from devenv import paths
from devenv.process import Log

# Without a terminal a sign of life this often (seconds) keeps CI from looking dead.
_HEARTBEAT = 60.0
# Tenths of a second say nothing about longer steps.
_TENTHS_BELOW = 10


@dataclass(frozen=True)
class Step:
    """One resumable piece of preparation.

    estimate: seconds on two cores with cold caches.
    is_done: cheap; true when run() has nothing left to do.
    run: may be interrupted anywhere and run again.
    """

    name: str
    estimate: float
    is_done: Callable[[], bool]
    run: Callable[[Log], None]


def say(message: str) -> None:
    """Print one line for the person at the terminal."""
    print(message, flush=True)


def run_steps(title: str, steps: Sequence[Step]) -> None:
    """Run the steps that are not done yet, in order. Silent when there is nothing to do."""
    open_steps = [step for step in steps if not step.is_done()]
    if not open_steps:
        return
    estimate = sum(step.estimate for step in open_steps)
    steps_and_time = f"{len(open_steps)} steps, about {_duration(estimate)} on two cores"
    say(f"{title}: {steps_and_time}. Ctrl-C is safe: a new run resumes.")
    started = time.monotonic()
    for number, step in enumerate(open_steps, 1):
        left = sum(later.estimate for later in open_steps[number - 1 :])
        with report(f"[{number}/{len(open_steps)}] {step.name}", f"about {_duration(left)} left") as log:
            step.run(log)
    say(f"{title}: done in {_duration(time.monotonic() - started)}")


@contextlib.contextmanager
def report(name: str, remark: str = "") -> Iterator[Log]:
    """Show that `name` runs, then how long it took. Yields the log that its commands write to."""
    started = time.monotonic()
    finished = threading.Event()
    log = Log(paths.LOGS / f"{_slug(name)}.log")

    def show() -> None:
        live = sys.stdout.isatty()
        if not live:
            say(f"  .. {name}" + (f" ({remark})" if remark else ""))
        while not finished.wait(1.0 if live else _HEARTBEAT):
            elapsed = _duration(time.monotonic() - started)
            if live:
                print(f"\r\033[K  .. {name}  {elapsed}  {log.remark or remark}", end="", flush=True)
            else:
                say("  .. " + ", ".join(filter(None, [f"{name}: {elapsed}", log.remark])))
        if live:
            print("\r\033[K", end="")

    ticker = threading.Thread(target=show, daemon=True)
    ticker.start()
    mark = "!!"
    try:
        yield log
        mark = "ok"
    finally:
        finished.set()
        ticker.join()
        log.close()
        say(f"  {mark} {name}  {_duration(time.monotonic() - started)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s" if seconds < _TENTHS_BELOW else f"{rest} s"


def _slug(name: str) -> str:
    name = name.rpartition("] ")[2]
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
