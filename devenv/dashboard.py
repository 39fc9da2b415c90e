"""The dashboard beside Tilt: a process of its own, which outlives Tilt, from the first `make up` to `make down`."""

import hashlib
import http
import http.client
import json
import subprocess
import time
from collections.abc import Mapping

from devenv import cluster, paths, python
from devenv.failure import Failure
from devenv.process import end, pid_of
from devenv.progress import report, say
from devenv.source import RELEASE, source

PORT = 10351
ADDRESS = f"http://localhost:{PORT}"
_PIDFILE = paths.STATE / "dashboard.pid"
_LOG = paths.LOGS / "dashboard.log"
_CODE = paths.CHECKOUT / "dashboard"
# Seconds.
_START, _STOP, _PATIENCE = 20, 10, 2
# Those that this process has started.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start() -> None:
    """Start it, unless the same code runs already for this checkout. Raises Failure when it does not answer."""
    if _health() == {"checkout": str(paths.CHECKOUT), "version": _version()}:
        return
    stop()
    if holder := cluster.holder(PORT):
        raise Failure("the dashboard", f"{holder} already listens on port {PORT}", "stop that, then run make up again")
    command = [
        *(str(python.venv_python()), "-m", "dashboard"),
        *("--context", cluster.CONTEXT, "--namespace", "todo", "--page", cluster.PAGE),
        *("--port", str(PORT), "--version", _version()),
        *(["--tilt-has-page"] if source() == RELEASE else []),
    ]
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with report("dashboard"), _LOG.open("wb") as log:
        # Neither Ctrl-C nor the end of the terminal is meant for it.
        process = subprocess.Popen(
            command, cwd=paths.CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        _children[process.pid] = process
        _PIDFILE.write_text(str(process.pid))
        deadline = time.monotonic() + _START
        while not _health():
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()
                tail = "\n".join(_LOG.read_text(errors="replace").splitlines()[-10:])
                raise Failure("the dashboard", f"does not answer at {ADDRESS}\n{tail}", f"read {_LOG}, then make up")
            time.sleep(0.05)


def stop() -> None:
    """Stop the dashboard that `make up` started, if it runs."""
    if not (pid := pid_of(_PIDFILE, "dashboard")):
        return
    with report("stop the dashboard"):
        end(_PIDFILE, "dashboard", "the dashboard", _STOP)
        if child := _children.pop(pid, None):
            child.wait()
    _PIDFILE.unlink(missing_ok=True)


def status() -> None:
    """Say whether it runs."""
    say(f"Dashboard: {ADDRESS}" if _health() else "The dashboard does not run. Start it: make up")


def _health() -> Mapping[str, str] | None:
    """Return what a dashboard on the port says of itself; None when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=_PATIENCE)
    try:
        connection.request("GET", "/api/health")
        answer = connection.getresponse()
        said = json.loads(answer.read()) if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) else None


def _version() -> str:
    """Return 12 hexadecimal digits of the SHA-256 over its code and the libraries that it needs."""
    digest = hashlib.sha256((paths.CHECKOUT / "requirements-dev.txt").read_bytes())
    for file in sorted(_CODE.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
