"""The state of every resource in words: what Tilt does, what runs, and why something does not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.logs import Line

type Object = Mapping[str, Any]

# Lines that are shown with a failure.
_DETAIL = 12

_WAITING = {
    "ErrImagePull": "the image {image} cannot be pulled",
    "ImagePullBackOff": "the image {image} cannot be pulled, tried again later",
    "ErrImageNeverPull": "the image {image} is not on the node and must not be pulled",
    "InvalidImageName": "the image has an invalid name: {image}",
    "CreateContainerConfigError": "its configuration names a Secret or ConfigMap that is not there",
    "CreateContainerError": "the container cannot be created",
    "RunContainerError": "the container cannot be started",
    "CrashLoopBackOff": "crashes again and again",
}
_HOLDS = {
    "waiting-for-deploy": "waits for {others}",
    "waiting-for-dep": "waits for {others}",
    "waiting-for-local": "waits for {others}, which must run alone",
    "tiltfile-reload": "waits for the Tiltfile",
    "waiting-for-cluster": "waits for the cluster",
    "reconciling": "Tilt is finding out what runs",
}

# Of what has no pods.
_RUNTIME = {"ok": "runs", "pending": "starts", "error": "does not run", "not_applicable": "", "none": ""}


@dataclass(frozen=True)
class Facts:
    """What is known beside the resources themselves.

    discoveries: KubernetesDiscovery objects by resource. codes: what each pod serves. unserved: by resource, why its
    newest code is not served. tail: tells the last lines of a resource, or of one of its pods.
    """

    discoveries: Mapping[str, Object]
    buttons: Sequence[Object]
    codes: Mapping[str, str]
    unserved: Mapping[str, str]
    tail: Callable[[str, str], Sequence[Line]]


def describe_resources(resources: Iterable[Object], facts: Facts) -> list[dict[str, Any]]:
    """Return the page's form of all resources, in the Tiltfile's order."""
    ordered = sorted(resources, key=lambda one: (one["status"].get("order", 0), one["metadata"]["name"]))
    return [_resource(one, facts) for one in ordered]


def describe_buttons(buttons: Iterable[Object], kind: str, owner: str = "") -> list[dict[str, Any]]:
    """Return the page's form of the Tiltfile's own buttons of a "Resource", or of the "Global" ones."""
    return [
        _button(button)
        for button in buttons
        if button["spec"]["location"].get("componentType") == kind
        and (not owner or button["spec"]["location"].get("componentID") == owner)
        and _kind(button) != "DisableToggle"
    ]


def _button(button: Object) -> dict[str, Any]:
    spec = button["spec"]
    return {
        "id": button["metadata"]["name"],
        "text": spec.get("text", ""),
        "confirm": bool(spec.get("requiresConfirmation")),
        "disabled": bool(spec.get("disabled")),
    }


def overall(resources: Sequence[Mapping[str, Any]], *, connected: bool) -> dict[str, str]:
    """Return one status and one sentence for everything."""
    if not connected:
        return {"status": "off", "text": "Tilt does not run"}
    for one in resources:
        if one["status"] == "error":
            return {"status": "error", "text": f"{one['name']}: {one['reason']}"}
    at_work = [one["name"] for one in resources if one["status"] in {"busy", "waiting"}]
    if at_work or not resources:
        return {"status": "busy", "text": f"At work: {', '.join(at_work) or 'the Tiltfile'}"}
    return {"status": "ok", "text": f"All {len(resources)} resources are ready"}


def moment(text: str | None) -> float | None:
    """Return milliseconds since 1970 of a time in the API's notation; None for none."""
    if not text or text.startswith("0001-"):
        return None
    return round(datetime.fromisoformat(text).timestamp() * 1000, 1)


def is_live(entry: Object) -> bool:
    """Tell whether an entry of Tilt's record is a live update and not a build."""
    return str(entry.get("spanID", "")).startswith("liveupdate:")


def is_build(entry: Object) -> bool:
    """Tell whether an entry of Tilt's record is a build and a deployment, and not the Tiltfile's."""
    return str(entry.get("spanID", "")).startswith("build:")


def _resource(one: Object, facts: Facts) -> dict[str, Any]:
    name, status = one["metadata"]["name"], one["status"]
    pods = [_pod(pod, facts.codes) for pod in (facts.discoveries.get(name, {}).get("status") or {}).get("pods") or []]
    switch = status.get("disableStatus") or {}
    enabled = switch.get("state") != "Disabled"
    reason, pod = _reason(status, pods, facts.unserved.get(name)) if enabled else (None, "")
    update, runtime = status.get("updateStatus", "none"), status.get("runtimeStatus", "none")
    summary = _status(status, pods, is_unserved=name in facts.unserved) if enabled else "disabled"
    links = status.get("endpointLinks") or []
    # Tilt's button for ending a build is of use while there is one.
    buttons = [button for button in facts.buttons if status.get("currentBuild") or _kind(button) != "StopBuild"]
    return {
        "name": name,
        "group": next(iter(one["metadata"].get("labels") or {}), ""),
        "status": summary,
        "update": {"status": update, "text": _last_update(status), "error": _build_error(status)},
        "runtime": {"status": runtime, "text": _running(runtime, pods)},
        "reason": reason,
        "detail": _detail(facts.tail(name, pod)) if summary == "error" else [],
        "links": [{"name": link.get("name") or link["url"], "url": link["url"]} for link in links],
        "canTrigger": enabled,
        "canDisable": bool(switch.get("sources")),
        "enabled": enabled,
        "pods": pods,
        "buttons": describe_buttons(buttons, "Resource", name),
    }


def _detail(lines: Sequence[Line]) -> list[str]:
    """Return the last error with all that belongs to it; the last lines if there is none."""
    heads = [line.head or line.id for line in lines if line.level == "error"]
    message = [line for line in lines if heads and heads[-1] in {line.id, line.head}]
    return [line.text for line in (message or lines)[-_DETAIL:]]


def _status(status: Object, pods: Sequence[Mapping[str, Any]], *, is_unserved: bool) -> str:
    update, runtime = status.get("updateStatus"), status.get("runtimeStatus")
    if is_unserved or "error" in {update, runtime} or any(pod["crashed"] for pod in pods):
        return "error"
    if update in {"in_progress", "pending"}:
        return "busy"
    return "waiting" if runtime == "pending" else "ok"


def _last_update(status: Object) -> str:
    if running := status.get("currentBuild"):
        began = datetime.fromisoformat(running["startTime"]).astimezone()
        return f"at work since {began:%H:%M:%S}"
    history = status.get("buildHistory") or []
    if not history:
        return ""
    newest = history[0]
    ended = datetime.fromisoformat(newest["finishTime"]).astimezone()
    seconds = (ended - datetime.fromisoformat(newest["startTime"])).total_seconds()
    took = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    what = "synced" if is_live(newest) else "updated"
    return f"{'failed' if newest.get('error') else what} {ended:%H:%M:%S}, {took}"


def _running(runtime: str, pods: Sequence[Mapping[str, Any]]) -> str:
    staying = [pod for pod in pods if pod["status"] not in {"Terminating", "Succeeded", "Completed"}]
    if staying:
        return f"{sum(pod['ready'] for pod in staying)} of {len(staying)} pods ready"
    if pods:
        return "completed"
    return _RUNTIME.get(runtime, runtime)


def _build_error(status: Object) -> str | None:
    history = status.get("buildHistory") or [{}]
    return history[0].get("error") if not status.get("currentBuild") else None


def _reason(status: Object, pods: Sequence[Mapping[str, Any]], unserved: str | None) -> tuple[str | None, str]:
    """Return why the resource is not as it should be, and the pod that shows it."""
    if error := _build_error(status):
        return f"the update failed: {error.strip().splitlines()[0]}", ""
    for pod in pods:
        if pod["reason"]:
            return pod["reason"], pod["name"]
    if unserved:
        return unserved, ""
    if waiting := status.get("waiting"):
        others = ", ".join(dict.fromkeys(other["name"] for other in waiting.get("on") or [])) or "others"
        return _HOLDS.get(waiting["reason"], waiting["reason"]).format(others=others), ""
    if status.get("runtimeStatus") == "error":
        info = status.get("k8sResourceInfo") or {}
        return info.get("podStatusMessage") or "it has ended, see its log", ""
    return None, ""


def _pod(pod: Object, codes: Mapping[str, str]) -> dict[str, Any]:
    containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    leaving = bool(pod.get("deleting"))
    reason, crashed = (None, False) if leaving else _pod_reason(pod, containers)
    return {
        "name": pod["name"],
        "status": "Terminating" if leaving else pod.get("status") or pod.get("phase", "Unknown"),
        "ready": all(container.get("ready") for container in pod.get("containers") or [{}]) and not leaving,
        "restarts": sum(container.get("restarts", 0) for container in containers),
        "created": moment(pod.get("createdAt")),
        "code": codes.get(pod["name"]),
        "reason": reason,
        "crashed": crashed,
    }


def _pod_reason(pod: Object, containers: Sequence[Object]) -> tuple[str | None, bool]:
    """Return why the pod is not ready in words, and whether that is a failure and not a matter of time."""
    if pod.get("phase") == "Succeeded":
        return None, False
    told = _unscheduled(pod) or next(filter(None, map(_container_reason, containers)), None)
    return told or (_unready(pod), False)


def _unscheduled(pod: Object) -> tuple[str, bool] | None:
    for condition in pod.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node takes the pod: {condition.get('message') or condition.get('reason')}", True
    return None


def _unready(pod: Object) -> str | None:
    """Return what a pod is at that is on its way to be ready."""
    for container in pod.get("initContainers") or []:
        if (container.get("state") or {}).get("running"):
            return f"{container['name']} runs first and has not ended"
    for container in pod.get("containers") or []:
        if (container.get("state") or {}).get("running") and not container.get("ready"):
            return f"{container['name']} runs but its readiness probe fails"
    return "its containers are being created" if pod.get("phase") == "Pending" else None


def _container_reason(container: Object) -> tuple[str, bool] | None:
    name, restarts = container["name"], container.get("restarts", 0)
    again = f", {restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""
    state = container.get("state") or {}
    waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
    if waiting.get("reason") in _WAITING:
        text = _WAITING[waiting["reason"]].format(image=container.get("image", ""))
        return f"{name}: {text}{again}", True
    if terminated and terminated.get("reason") == "OOMKilled":
        return f"{name} needed more memory than it may have and was ended{again}", True
    if terminated and terminated.get("exitCode"):
        return f"{name} ended with exit code {terminated['exitCode']}{again}", True
    return None


def _kind(button: Object) -> str:
    """Return which of Tilt's own buttons it is; empty for one of the Tiltfile's."""
    annotations: Object = button["metadata"].get("annotations") or {}
    return str(annotations.get("tilt.dev/uibutton-type", ""))
