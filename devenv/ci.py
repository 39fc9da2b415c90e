"""`tilt ci`: the whole application from scratch in a namespace of its own, and a verdict."""

import json
import shutil
from pathlib import Path
from typing import Any

from devenv import cluster, job_summary, paths
from devenv.process import interactive, output, run
from devenv.progress import report, say

NAMESPACE = "todo-ci"
# Beside a running `tilt up`, which has 10350.
_TILT_PORT = "10360"
_TAIL_LINES = 8
# Characters; a traceback in a line of JSON has thousands, and the report has them all.
_LINE_LENGTH = 240
# Reasons of a container that only has not come to start yet.
_STARTING = ("PodInitializing", "ContainerCreating")


def verify() -> int:
    """Run `tilt ci` in a fresh namespace; on failure print the reasons last and keep all. Returns its exit code."""
    shutil.rmtree(paths.CI_REPORT, ignore_errors=True)
    paths.CI_REPORT.mkdir(parents=True)
    _delete_namespace(wait=True)
    snapshot = paths.CI_REPORT / "tilt-snapshot.json"
    code = interactive(
        ["tilt", "ci", "--port", _TILT_PORT, "--output-snapshot-on-exit", snapshot],
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
        run(["kubectl", "--context", cluster.CONTEXT, *command], log)


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
    causes = _causes(_view(snapshot), pods)
    for line in causes:
        say(f"  {line}")
    job_summary.add("make ci: FAILED", causes)
    say(f"Logs, events, descriptions and Tilt's snapshot: {paths.CI_REPORT.relative_to(paths.CHECKOUT)}/")


def _view(snapshot: Path) -> dict[str, Any]:
    """Return what Tilt's dashboard showed at its end; nothing when Tilt did not come to write it."""
    try:
        view: dict[str, Any] = json.loads(snapshot.read_text())["view"]
    except (OSError, ValueError, KeyError):
        return {}
    return view


def _causes(view: dict[str, Any], pods: list[dict[str, Any]]) -> list[str]:
    """Return what failed; or, where nothing did and the time ran out, what was not ready by then."""
    if not view:
        return ["Tilt left no snapshot: its own last lines above say why it stopped"]
    resources = {resource["metadata"]["name"]: resource["status"] for resource in view["uiResources"]}
    lines = [line for name, status in resources.items() for line in _failure(view, name, status)]
    if lines:
        # Tilt stops at the first failure: what was still starting then is no cause.
        return lines + [line for pod in pods if _has_failed(pod) for line in _troubles(pod)]
    for name, status in resources.items():
        if status.get("updateStatus") == "in_progress":
            lines += [f"{name}: not finished", *_tail(_printed(view, name))]
        # What was never deployed waits for one of the others.
        elif status.get("runtimeStatus") == "pending" and status.get("updateStatus") == "ok":
            lines.append(f"{name}: not ready in time")
    return lines + [line for pod in pods for line in _troubles(pod)]


def _failure(view: dict[str, Any], name: str, status: dict[str, Any]) -> list[str]:
    """Return what Tilt recorded of the resource's failure, and what its command said; nothing when it did not fail."""
    printed = _printed(view, name)
    error = (status.get("buildHistory") or [{}])[0].get("error", "")
    # Tilt may end before its record has the failure of a check; the check's own last line is there.
    said = any(line.startswith("FAILED: ") for line in printed.splitlines())
    if not error and not said and "error" not in {status.get("updateStatus"), status.get("runtimeStatus")}:
        return []
    return [f"{name}: {_last_words(error) or 'failed'}", *_tail(printed)]


def _printed(view: dict[str, Any], resource: str) -> str:
    """Return what a command of the resource printed; of a failed one, Tilt itself only knows the exit code."""
    spans = (f"cmd:{resource}:", f"cmdimage:{resource}:")
    return "".join(part["text"] for part in view["logList"]["segments"] if part.get("spanId", "").startswith(spans))


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _has_failed(pod: dict[str, Any]) -> bool:
    """Tell whether a container of the pod has ended badly, once or more often, or cannot start."""
    states = [container["state"] for container in _containers(pod)]
    return (
        any(container["restartCount"] for container in _containers(pod))
        or any(state.get("terminated", {}).get("exitCode") for state in states)
        or any(state["waiting"]["reason"] not in _STARTING for state in states if "waiting" in state)
    )


def _troubles(pod: dict[str, Any]) -> list[str]:
    """Why the pod is not well: the kubelet's reason, then the last lines of its log."""
    name = pod["metadata"]["name"]
    if pod["status"]["phase"] == "Succeeded":
        return []
    lines = []
    for container in _containers(pod):
        if container["ready"]:
            continue
        states: dict[str, dict[str, Any]] = container["state"] or {"unknown": {}}
        ((state, detail),) = states.items()
        reason = detail.get("reason") or (_probe_failure(name) if state == "running" else state)
        message = _last_words(detail.get("message", ""))
        lines.append(f"pod {name}: {reason}, {container['restartCount']} restarts {message}".rstrip())
        if state == "waiting" and not container["restartCount"]:
            continue
        previous = ["--previous"] if state == "waiting" else []
        log = _kubectl("logs", name, "--container", container["name"], *previous)
        lines += _tail(log)
    return lines


def _probe_failure(pod: str) -> str:
    """Return what the kubelet last said about the pod's probes."""
    selector = f"--field-selector=reason=Unhealthy,involvedObject.name={pod}"
    events = json.loads(_kubectl("get", "events", selector, "--sort-by=.lastTimestamp", "--output", "json"))["items"]
    return _last_words(events[-1]["message"]) if events else "running, but not ready"


def _tail(text: str) -> list[str]:
    return [f"    | {line[:_LINE_LENGTH]}" for line in text.splitlines()[-_TAIL_LINES:]]


def _last_words(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _save(file: str, *arguments: str) -> None:
    (paths.CI_REPORT / file).write_text(_kubectl(*arguments) + "\n")


def _kubectl(*arguments: str) -> str:
    """What kubectl prints for the namespace, or why it could not: a missing piece must not hide the others."""
    try:
        return output(["kubectl", "--context", cluster.CONTEXT, "--namespace", NAMESPACE, *arguments])
    except Exception as failure:  # noqa: BLE001
        return '{"items": []}' if "json" in arguments else str(failure)
