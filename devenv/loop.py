"""`tilt up` and what keeps it company: start, stop, state, logs."""

import signal

from devenv import cluster, dashboard, paths
from devenv.failure import Failure
from devenv.process import end, interactive, pid_of, succeeds
from devenv.progress import report, say

_PIDFILE = paths.STATE / "tilt.pid"
_TILT_PORT = 10350
_STOP_SECONDS = 20
_PERSONAL_SETTINGS = paths.CHECKOUT / "backend" / ".env"


def up(arguments: list[str]) -> int:
    """Run Tilt in the foreground until Ctrl-C; the application stays up in the cluster. Returns Tilt's exit code."""
    if holder := cluster.holder(_TILT_PORT):
        raise Failure(
            "tilt up", f"{holder} already listens on port {_TILT_PORT}", "use that one, or stop it first: make down"
        )
    _forget_failed_migration()
    # Tilt copies only what is there: an empty file also clears away one that a pod still has.
    if not _PERSONAL_SETTINGS.exists():
        _PERSONAL_SETTINGS.touch()
    say(f"Logs, state, saves: {dashboard.ADDRESS}   Page: {cluster.PAGE}   API: {cluster.PAGE}/api/docs")
    say("Ctrl-C stops Tilt; the application and the dashboard stay until make down.")
    code = interactive(["tilt", "up", *arguments], cwd=paths.CHECKOUT, pidfile=_PIDFILE)
    # Ended by Ctrl-C is the way to end it.
    return 0 if code in {-signal.SIGINT, 130} else code


def stop() -> None:
    """Stop the Tilt that `make up` started, if it runs."""
    if not pid_of(_PIDFILE, "tilt"):
        return
    with report("stop Tilt"):
        end(_PIDFILE, "tilt", "tilt", _STOP_SECONDS)


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


def _forget_failed_migration() -> None:
    """Delete a migrate Job that has not succeeded: Tilt applies it again as it is, and Kubernetes runs no Job twice."""
    unsuccessful = ["--field-selector", "status.successful=0", "--selector", "app.kubernetes.io/component=migrate"]
    succeeds(["kubectl", "--context", cluster.CONTEXT, "--namespace", "todo", "delete", "job", *unsuccessful])


def _answers() -> bool:
    return succeeds(["tilt", "get", "session"])
