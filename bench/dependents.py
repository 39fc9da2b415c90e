"""How long an edited module and those that depend on it take to be executed again, in a process without a reloader."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPETITIONS = 10

# Each time in a fork, lest one execution find what the one before has left.
_PROGRAM = f"""
import importlib, json, os, sys, time

importlib.import_module("app.main")
for _ in range({REPETITIONS}):
    pid = os.fork()
    if not pid:
        for name in sys.argv[1:]:
            del sys.modules[name]
        began = time.perf_counter()
        importlib.import_module("app.main")
        print(json.dumps(1000 * (time.perf_counter() - began)), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def execution_times(folder: Path, modules: Sequence[str]) -> list[float]:
    """Return milliseconds, of several times. folder: where `app.main` is imported from."""
    command = [sys.executable, "-c", _PROGRAM, *modules]
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]
