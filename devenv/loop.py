"""`tilt up` and what keeps it company: start, stop, state, logs."""

import contextlib
import os
import signal
import time
from pathlib import Path

from devenv import cluster, paths
from devenv.failure import Failure
from devenv.process import interactive, succeeds
from devenv.progress import report, say

_PIDFILE = paths.STATE / "tilt.pid"
_TILT_PORT = 10350
_STOP_SECONDS = 20


def up(arguments: list[str]) -> int:
    """Run Tilt in the foreground until Ctrl-C; the application stays up in the cluster. Returns Tilt's exit code."""
    if holder := cluster.holder(_TILT_PORT):
        raise Failure(
            "tilt up", f"{holder} already listens on port {_TILT_PORT}", "use that one, or stop it first: make down"
        )
    say(f"Tilt: http://localhost:{_TILT_PORT}   Page: {cluster.PAGE}   API: {cluster.PAGE}/api/docs")
    say("Ctrl-C stops Tilt; the application stays up until make down.")
    code = interactive(["tilt", "up", *arguments], cwd=paths.CHECKOUT, pidfile=_PIDFILE)
    # Ended by Ctrl-C is the way to end it.
    return 0 if code in {-signal.SIGINT, 130} else code


def stop() -> None:
    """Stop the Tilt that `make up` started, if it runs."""
    pid = _pid()
    if not pid:
        return
    with report("stop Tilt"):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while _pid():
            if time.monotonic() > deadline:
                raise Failure("tilt", f"process {pid} did not end within {_STOP_SECONDS} s", f"kill {pid}")
            time.sleep(0.1)


def status() -> int:
    """Resources as Tilt sees them, and pods as the cluster does."""
    if _answers():
        interactive(["tilt", "get", "uiresources"])
    else:
        say("Tilt does not run. Start it: make up")
    if not cluster.is_ready():
        say("The cluster does not answer. Start it: make up")
        return 1
    pods = ["get", "pods", "--all-namespaces", "--output", "wide", "--selector", "app.kubernetes.io/part-of=todo"]
    return interactive(["kubectl", "--context", cluster.CONTEXT, *pods])


def logs() -> int:
    """Follow Tilt's log of all resources."""
    if not _answers():
        raise Failure("logs", "Tilt does not run", "make up, then make logs in another terminal")
    return interactive(["tilt", "logs", "--follow"])


def _answers() -> bool:
    return succeeds(["tilt", "get", "session"])


def _pid() -> int:
    """The process id of the Tilt that `make up` started; 0 when it does not run."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(_PIDFILE.read_text())
        if b"tilt" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0
