"""How a process that has served ends: as an interpreter does, but without waiting for threads, which may hang."""

import atexit
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from warmfork import report
from warmfork.parent.processes import descendants

# Seconds that each worker process, and all programs together, get to end.
_TIMEOUT = 1.0
_PAUSE = 0.01


def end_orderly(programs: Iterable[int]) -> NoReturn:
    """Do what is registered to be done at the end, and end with what the application has started.

    programs: that were started when the application was imported, and will be again by the next process.
    """
    _end_workers()
    atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does
    _end_programs(set(programs))
    # Handlers may still hold lines.
    logging.shutdown()
    end_at_once(0)


def end_at_once(code: int) -> NoReturn:
    """End without more."""
    report.flush()
    os._exit(code)


def _end_workers() -> None:
    """End processes of multiprocessing."""
    if "multiprocessing" not in sys.modules:
        return
    # Pools start new processes in place of ended ones.
    util = importlib.import_module("multiprocessing.util")
    with suppress(Exception):
        util._run_finalizers(0)  # noqa: SLF001 - as at the end of an interpreter
    workers = sys.modules["multiprocessing"].active_children()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_TIMEOUT)
        worker.kill()


def _end_programs(programs: set[int]) -> None:
    end = time.monotonic() + _TIMEOUT
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Of those that have ended the number may be another's.
        for pid in programs & set(descendants(os.getpid())):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while programs and time.monotonic() < end:
            programs = {pid for pid in programs if _is_running(pid)}
            time.sleep(_PAUSE if programs else 0)


def _is_running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
