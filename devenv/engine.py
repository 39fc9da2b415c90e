"""The container engine: the machine's own, or, for root on Debian and Ubuntu, one that devenv brings and starts."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from devenv import apt, paths, versions
from devenv.failure import Failure
from devenv.process import Log, output, pid_of, succeeds
from devenv.progress import Step, report, run_steps, say

_HOME = paths.CACHE / "engine"
BIN = _HOME / "bin"
_PIDFILE = paths.STATE / "dockerd.pid"
_LOG = paths.LOGS / "dockerd.log"
# The first that Tilt's and ctlptl's clients talk to, and its API's version.
_OLDEST, _OLDEST_API = "25.0", (1, 44)
_LOCAL = re.compile(r"(unix|npipe|fd)://|tcp://(localhost|127\.|\[::1\])")
_INSTALL = "install Docker's own packages, https://docs.docker.com/engine/install, then run the same command"
# Debian 12's own engine is older; Debian 13's runs on it, but for runc (a newer C library).
_TRIXIE = ["docker.io", "docker-cli", "containerd", "tini"]
_BOOKWORM = ["runc"]
_START_SECONDS = 60


def is_running() -> bool:
    return succeeds(["docker", "version"], timeout=20)


def ensure() -> None:
    """A running engine that the loop can use. Raises Failure with what to install where devenv cannot bring one."""
    _require_local()
    if not is_running():
        if not shutil.which("dockerd"):
            run_steps("Container engine", [Step("bring the container engine", 20, _is_brought, _bring)])
        _start()
    _require_known()


def stop() -> None:
    """Stop the engine that devenv started, unless containers of somebody else still run on it."""
    pid = _own_pid()
    if not pid:
        return
    if is_running() and (others := output(["docker", "ps", "--format", "{{.Names}}"])):
        say(f"The container engine stays: {', '.join(others.split())} still run on it.")
        return
    os.kill(pid, signal.SIGTERM)
    _wait(lambda: not _own_pid(), "stop")
    say("The container engine that devenv had started is stopped.")


def _require_local() -> None:
    """Raise Failure when Docker's client is set to another machine's engine."""
    host = os.environ.get("DOCKER_HOST", "")
    context = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    if not host and succeeds(context):
        host = output(context)
    if host and not _LOCAL.match(host):
        raise Failure(
            "container engine",
            f"Docker's client is set to {host}, another machine: the page would not be at localhost here",
            "unset DOCKER_HOST, or docker context use default, then run the same command",
        )


def _require_known() -> None:
    """Raise Failure when what answers is no Docker Engine, or too old a one."""
    server = json.loads(output(["docker", "version", "--format", "{{json .Server}}"]))
    if "podman" in json.dumps(server).lower():
        raise Failure(
            "container engine", "Podman answers in Docker's place, with which the loop is not tried", _INSTALL
        )
    if versions.numbers(server["ApiVersion"]) < _OLDEST_API:
        raise Failure(
            "container engine",
            f"Docker Engine {server['Version']} is too old: Tilt and ctlptl talk to {_OLDEST} and newer",
            _INSTALL,
        )


def _is_brought() -> bool:
    return (BIN / "dockerd").is_file()


def _bring(log: Log) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failure(
            "container engine",
            "Docker does not run here, and only root on Debian or Ubuntu can have it brought",
            f"start it, or {_INSTALL}; or work without containers: make dev",
        )
    if not shutil.which("iptables"):
        apt.install(["iptables"], log)
    if apt.release() != ("debian", "bookworm"):
        apt.install(["docker.io"], log)
        if not shutil.which("docker"):
            # Debian's, since 13.
            apt.install(["docker-cli"], log)
        BIN.mkdir(parents=True, exist_ok=True)
        for name in ("docker", "dockerd"):
            (BIN / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
        return
    root = _HOME / "root"
    shutil.rmtree(_HOME, ignore_errors=True)
    apt.unpack(_TRIXIE, root, log, suite="trixie")
    apt.unpack(_BOOKWORM, root, log, suite="bookworm")
    parts = _HOME / "bin.part"
    parts.mkdir(parents=True)
    for folder in ("bin", "sbin"):
        for program in (root / "usr" / folder).iterdir():
            program.rename(parts / program.name)
    # dockerd knows its init by this name.
    (parts / "tini-static").rename(parts / "docker-init")
    shutil.rmtree(root)
    parts.rename(BIN)


def _start() -> None:
    with report("start the container engine"):
        is_service = os.geteuid() == 0 and succeeds(["systemctl", "start", "docker"])
        if not is_service and not _is_brought():
            raise Failure(
                "container engine",
                "Docker is installed but does not answer",
                "start it: sudo systemctl start docker, or Docker Desktop",
            )
        if not is_service:
            _run()
        _wait(is_running, "start")


def _run() -> None:
    """Run the brought dockerd as a process of its own, which outlives this one."""
    if _own_pid():
        return
    paths.ENGINE_DATA.mkdir(parents=True, exist_ok=True)
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    # Left by an engine that was killed; a new one refuses to start beside it.
    _PIDFILE.unlink(missing_ok=True)
    with _LOG.open("wb") as log:
        subprocess.Popen(
            [BIN / "dockerd", "--data-root", paths.ENGINE_DATA, "--pidfile", _PIDFILE],
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _own_pid() -> int:
    """The process id of the dockerd that devenv started; 0 when it does not run."""
    return pid_of(_PIDFILE, "dockerd")


def _wait(condition: Callable[[], object], verb: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            tail = "\n".join(_LOG.read_text(errors="replace").splitlines()[-10:]) if _LOG.is_file() else "no log"
            raise Failure(f"the container engine did not {verb}", tail, f"read {_LOG}")
        time.sleep(0.2)
