"""`tilt up` and what keeps it company: start, stop, state, logs."""

import contextlib
import signal

from devenv import cluster, dashboard, paths
from devenv.failure import Failure
from devenv.process import end, interactive, output, pid_of, succeeds
from devenv.progress import report, say

_PIDFILE = paths.STATE / "tilt.pid"
_TILT_PORT = 10350
_STOP_SECONDS = 20
_KUBECTL = ["kubectl", "--context", cluster.CONTEXT, "--namespace", "todo"]
# Where the Tiltfile has each folder copied to; the component and its container have the folder's name.
_SYNCED = {"backend": "/app", "frontend": "/usr/share/nginx/html"}


def up(arguments: list[str]) -> int:
    """Run Tilt in the foreground until Ctrl-C; the application stays up in the cluster. Returns Tilt's exit code."""
    if holder := cluster.holder(_TILT_PORT):
        raise Failure(
            "tilt up", f"{holder} already listens on port {_TILT_PORT}", "use that one, or stop it first: make down"
        )
    _forget_failed_migration()
    _remove_leftovers()
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
    succeeds([*_KUBECTL, "delete", "job", *unsuccessful])


def _remove_leftovers() -> None:
    """Delete what has gone from the checkout since it was copied into running pods: Tilt's initial sync only adds."""
    for component, folder in _SYNCED.items():
        selector = f"app.kubernetes.io/component={component}"
        for pod in output([*_KUBECTL, "get", "pods", "--selector", selector, "--output", "name"]).split():
            inside = [*_KUBECTL, "exec", pod, "--container", component, "--"]
            # One that cannot be asked does not run, and begins with its image's files.
            with contextlib.suppress(Failure):
                files = output([*inside, "find", folder, "-type", "f", "-not", "-name", "*.pyc", "-printf", "%P\n"])
                names = [name for name in files.splitlines() if not (paths.CHECKOUT / component / name).is_file()]
                if names:
                    output([*inside, "rm", "--force", "--", *(f"{folder}/{name}" for name in names)])


def _answers() -> bool:
    return succeeds(["tilt", "get", "session"])
