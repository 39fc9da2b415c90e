"""Forks servers. For each line of JSON that it reads it answers with one.

Either the id of a new process, or the exit code of one that it has forked: null as long as that runs.
"""

import gc
import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import NoReturn


def main() -> None:
    """Answer until the input ends."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    # No collection in a fork need look at it, or copy its pages.
    gc.collect()
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        answer = _exit_code(request["ended"]) if "ended" in request else os.fork() or _run(**request)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _run(arguments: list[str], directory: str, output: str, environment: Mapping[str, str]) -> NoReturn:
    """Become `python -m warmfork`, which has imported what it always does."""
    os.setsid()
    os.chdir(directory)
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_APPEND)
    for number, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    # The first is where warmfork is.
    sys.path[:1] = [directory, *environment["PYTHONPATH"].split(os.pathsep)]
    sys.argv[:] = ["warmfork", *arguments]
    # By which it starts itself again.
    sys.orig_argv[:] = [sys.executable, "-m", *sys.argv]
    from warmfork.__main__ import main  # noqa: PLC0415 - not before it is wanted

    main()
    raise AssertionError("the command exits")


if __name__ == "__main__":
    main()
