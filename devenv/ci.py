"""`tilt ci`: the whole application from scratch in a namespace of its own, and a verdict."""

import json
import shutil
from pathlib import Path
from typing import Any

from devenv import cluster, credentials, paths, tools
from devenv.process import interactive, output, run
from devenv.progress import report, say

NAMESPACE = "todo-ci"
# Beside a running `tilt up`, which has 10350.
_TILT_PORT = "10360"
_TAIL_LINES = 8


def verify() -> int:
    """Run `tilt ci` in a fresh namespace; failing, print the reasons last and keep them in full. Returns its exit code."""
    credentials.write()
    shutil.rmtree(paths.CI_REPORT, ignore_errors=True)
    paths.CI_REPORT.mkdir(parents=True)
    _delete_namespace(wait=True)
    snapshot = paths.CI_REPORT / "tilt-snapshot.json"
    code = interactive(
        ["tilt", "ci", "--port", _TILT_PORT, "--output-snapshot-on-exit", snapshot],
        env=tools.path(),
        cwd=paths.CHECKOUT,
    )
    if code:
        _collect(snapshot)
        return code
    _delete_namespace(wait=False)
    say("make ci: passed")
    return 0


def _delete_namespace(*, wait: bool) -> None:
    with report(f"{'fresh' if wait else 'remove'} namespace {NAMESPACE}") as log:
        command = ["delete", "namespace", NAMESPACE, "--ignore-not-found", f"--wait={str(wait).lower()}"]
        run(["kubectl", "--context", cluster.CONTEXT, *command], log, env=tools.path())


def _collect(snapshot: Path) -> None:
    """Keep what a person needs to find the cause, and print the causes in short."""
    _save("events.txt", "get", "events", "--sort-by=.lastTimestamp")
    _save("objects.txt", "get", "all,networkpolicies,endpointslices,persistentvolumeclaims", "--output", "wide")
    _save("describe.txt", "describe", "pods")
    pods: list[dict[str, Any]] = json.loads(_kubectl("get", "pods", "--output", "json"))["items"]
    for pod in pods:
        name = pod["metadata"]["name"]
        _save(f"{name}.log", "logs", name, "--all-containers", "--prefix")
        if any(status["restartCount"] for status in pod["status"].get("containerStatuses", [])):
            _save(f"{name}.previous.log", "logs", name, "--all-containers", "--prefix", "--previous")
    say("\nmake ci: FAILED")
    for line in [*_failed_resources(snapshot), *(line for pod in pods for line in _troubles(pod))]:
        say(f"  {line}")
    say(f"Logs, events, descriptions and Tilt's snapshot: {paths.CI_REPORT.relative_to(paths.CHECKOUT)}/")


def _failed_resources(snapshot: Path) -> list[str]:
    """One line for each resource that Tilt gave up on, from its snapshot."""
    try:
        view = json.loads(snapshot.read_text())["view"]
    except (OSError, ValueError, KeyError):
        return ["Tilt left no snapshot: its own last lines above say why it stopped"]
    lines = []
    for resource in view.get("uiResources", []):
        status = resource.get("status", {})
        history = status.get("buildHistory") or [{}]
        name = resource["metadata"]["name"]
        if error := history[0].get("error"):
            lines.append(f"{name}: {_last_words(error)}")
        elif status.get("runtimeStatus") in {"error", "pending"}:
            lines.append(f"{name}: {status['runtimeStatus']}, not ready in time")
    return lines


def _troubles(pod: dict[str, Any]) -> list[str]:
    """Why the pod is not well: the kubelet's reason, then the last lines of its log."""
    name, status = pod["metadata"]["name"], pod["status"]
    if status["phase"] == "Succeeded":
        return []
    lines = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if container["ready"]:
            continue
        states: dict[str, dict[str, Any]] = container["state"] or {"unknown": {}}
        ((state, detail),) = states.items()
        reason = detail.get("reason") or ("its readiness probe fails" if state == "running" else state)
        message = _last_words(detail.get("message", ""))
        lines.append(f"pod {name}: {reason}, {container['restartCount']} restarts {message}".rstrip())
        previous = ["--previous"] if state == "waiting" and container["restartCount"] else []
        log = _kubectl("logs", name, "--container", container["name"], f"--tail={_TAIL_LINES}", *previous)
        lines += [f"    | {line}" for line in log.splitlines()]
    return lines


def _last_words(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _save(file: str, *arguments: str) -> None:
    (paths.CI_REPORT / file).write_text(_kubectl(*arguments) + "\n")


def _kubectl(*arguments: str) -> str:
    """What kubectl prints for the namespace, or why it could not: a missing piece must not hide the others."""
    try:
        return output(["kubectl", "--context", cluster.CONTEXT, "--namespace", NAMESPACE, *arguments], env=tools.path())
    except Exception as failure:  # noqa: BLE001
        return '{"items": []}' if "json" in arguments else str(failure)
