"""The state of resources in words."""

from typing import Any

import pytest

from dashboard.logs import Line
from dashboard.state import Facts, describe_buttons, describe_resources, overall

RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-03-01T12:00:00Z"}}


def resource(name: str = "backend", **status: Any) -> dict[str, Any]:  # noqa: ANN401
    usual = {"updateStatus": "ok", "runtimeStatus": "ok", "order": 1}
    return {"metadata": {"name": name, "labels": {"app": "app"}}, "status": usual | status}


def container(name: str = "backend", *, ready: bool = True, restarts: int = 0, **state: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"name": name, "image": "todo", "ready": ready, "restarts": restarts, "state": state or RUNNING}


def pod(name: str = "backend-a", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    usual = {"name": name, "phase": "Running", "status": "Running", "createdAt": "2026-03-01T12:00:00Z"}
    return usual | {"containers": [container()]} | fields


def describe(one: dict[str, Any], *pods: dict[str, Any], **others: Any) -> dict[str, Any]:  # noqa: ANN401
    discoveries = {one["metadata"]["name"]: {"status": {"pods": list(pods)}}}
    usual: dict[str, Any] = {"codes": {}, "unserved": {}, "buttons": [], "tail": lambda *_: []}
    (described,) = describe_resources([one], Facts(discoveries, **(usual | others)))
    return described


def test_all_is_well() -> None:
    one = describe(resource(), pod(), pod("backend-b"), codes={"backend-a": "9f86d081884c"})
    assert (one["status"], one["reason"], one["runtime"]["text"]) == ("ok", None, "2 of 2 pods ready")
    assert [(each["code"], each["created"]) for each in one["pods"]] == [
        ("9f86d081884c", 1772366400000.0),
        (None, 1772366400000.0),
    ]
    assert overall([one], connected=True) == {"status": "ok", "text": "All 1 resources are ready"}


WAITING = [
    ({"reason": "ErrImagePull"}, "backend: the image todo cannot be pulled"),
    ({"reason": "CrashLoopBackOff"}, "backend: crashes again and again, 4 restarts"),
    (
        {"reason": "CreateContainerConfigError"},
        "backend: its configuration names a Secret or ConfigMap that is not there",
    ),
]


@pytest.mark.parametrize(("waiting", "reason"), WAITING)
def test_container_that_does_not_start(waiting: dict[str, str], reason: str) -> None:
    restarts = 4 if "restarts" in reason else 0
    one = describe(
        resource(runtimeStatus="pending"), pod(containers=[container(ready=False, restarts=restarts, waiting=waiting)])
    )
    assert (one["status"], one["reason"]) == ("error", reason)


def test_crash_shows_the_pod_s_last_lines() -> None:
    def tail(name: str, of_pod: str) -> list[Line]:
        return [Line(1, 0.0, name, "runtime", "error", of_pod, f"last words of {of_pod}", None)]

    crashed = container(ready=False, restarts=1, terminated={"exitCode": 3, "reason": "Error"})
    one = describe(resource(runtimeStatus="error"), pod(containers=[crashed]), tail=tail)
    assert one["reason"] == "backend ended with exit code 3, 1 restart"
    assert one["detail"] == ["last words of backend-a"]


def test_last_error_is_shown_with_its_traceback_and_nothing_after_it() -> None:
    texts = [("old", "error", None), ("head", "error", None), ("frame", "error", 2), ("after", "info", None)]
    lines = [
        Line(number, 0.0, "backend", "runtime", level, "", text, head)
        for number, (text, level, head) in enumerate(texts, 1)
    ]
    one = describe(resource(), unserved={"backend": "no"}, tail=lambda *_: lines)
    assert one["detail"] == ["head", "frame"]


def test_too_much_memory() -> None:
    ended = container(ready=False, terminated={"exitCode": 137, "reason": "OOMKilled"})
    assert (
        describe(resource(), pod(containers=[ended]))["reason"]
        == "backend needed more memory than it may have and was ended"
    )


def test_failing_probe_is_no_error_yet() -> None:
    one = describe(resource(runtimeStatus="pending"), pod(containers=[container(ready=False)]))
    assert (one["status"], one["reason"]) == ("waiting", "backend runs but its readiness probe fails")
    assert one["runtime"]["text"] == "0 of 1 pods ready"


def test_init_container_is_named() -> None:
    waiting = container(ready=False, waiting={"reason": "PodInitializing"})
    one = describe(
        resource(runtimeStatus="pending"),
        pod(phase="Pending", initContainers=[container("await-database", ready=False)], containers=[waiting]),
    )
    assert one["reason"] == "await-database runs first and has not ended"


def test_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}
    one = describe(resource(runtimeStatus="pending"), pod(phase="Pending", conditions=[condition], containers=[]))
    assert (one["status"], one["reason"]) == ("error", "no node takes the pod: Insufficient memory")


def test_failed_migration() -> None:
    failed = container("migrate", ready=False, terminated={"exitCode": 1, "reason": "Error"})
    one = describe(resource("migrate", runtimeStatus="error"), pod("migrate-x", phase="Failed", containers=[failed]))
    assert (one["status"], one["reason"]) == ("error", "migrate ended with exit code 1")


def test_completed_job() -> None:
    ended = container("migrate", ready=False, terminated={"exitCode": 0, "reason": "Completed"})
    one = describe(resource("migrate"), pod("migrate-x", phase="Succeeded", status="Completed", containers=[ended]))
    assert (one["status"], one["reason"], one["runtime"]["text"]) == ("ok", None, "completed")


def test_failed_build() -> None:
    entry = {
        "startTime": "2026-03-01T12:00:00Z",
        "finishTime": "2026-03-01T12:00:02.5Z",
        "spanID": "build:3",
        "error": "\nfailed to solve: exit code 1\nmore",
    }
    one = describe(resource(updateStatus="error", buildHistory=[entry]))
    assert (one["status"], one["reason"]) == ("error", "the update failed: failed to solve: exit code 1")
    assert one["update"]["text"].startswith("failed ")
    assert one["update"]["text"].endswith("2.5 s")


def test_live_update_is_called_a_sync() -> None:
    entry = {"startTime": "2026-03-01T12:00:00Z", "finishTime": "2026-03-01T12:00:00.2Z", "spanID": "liveupdate:x"}
    text = describe(resource(buildHistory=[entry]))["update"]["text"]
    assert text.startswith("synced ")
    assert text.endswith("200 ms")


def test_what_it_waits_for_is_named() -> None:
    waiting = {"reason": "waiting-for-dep", "on": [{"name": "configuration"}, {"name": "configuration"}]}
    one = describe(resource(updateStatus="pending", runtimeStatus="pending", waiting=waiting))
    assert (one["status"], one["reason"]) == ("busy", "waits for configuration")


def test_code_that_is_not_served_is_an_error_though_all_pods_are_ready() -> None:
    one = describe(resource(), pod(), unserved={"backend": "main.py is not served: SyntaxError"})
    assert (one["status"], one["reason"]) == ("error", "main.py is not served: SyntaxError")


def test_disabled_resource_has_no_reason() -> None:
    one = describe(resource(updateStatus="none", disableStatus={"state": "Disabled", "sources": [{}]}))
    assert (one["status"], one["reason"], one["enabled"], one["canDisable"]) == ("disabled", None, False, True)


def test_leaving_pod_does_not_count() -> None:
    one = describe(resource(), pod(), pod("backend-old", deleting=True))
    assert one["runtime"]["text"] == "1 of 1 pods ready"
    assert [each["status"] for each in one["pods"]] == ["Running", "Terminating"]


def button(name: str, kind: str, owner: str, **annotations: str) -> dict[str, Any]:
    spec = {"location": {"componentType": kind, "componentID": owner}, "text": name, "requiresConfirmation": True}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


def test_buttons_go_to_their_resources_and_tilt_s_own_switch_is_none() -> None:
    buttons = [
        button("seed", "Resource", "backend"),
        button("other", "Resource", "frontend"),
        button("all", "Global", "nav"),
        button("toggle", "Resource", "backend", **{"tilt.dev/uibutton-type": "DisableToggle"}),
    ]
    stop = button("stop", "Resource", "backend", **{"tilt.dev/uibutton-type": "StopBuild"})
    one = describe(resource(), buttons=[*buttons, stop])
    assert one["buttons"] == [{"id": "seed", "text": "seed", "confirm": True, "disabled": False}]
    building = resource(currentBuild={"startTime": "2026-03-01T12:00:00Z"})
    assert [each["id"] for each in describe(building, buttons=[*buttons, stop])["buttons"]] == ["seed", "stop"]
    assert [each["id"] for each in describe_buttons(buttons, "Global")] == ["all"]


def test_overall_names_the_worst() -> None:
    bad = describe(resource(updateStatus="error", buildHistory=[]), unserved={"backend": "no"})
    busy = describe(resource("frontend", updateStatus="in_progress"))
    assert overall([busy, bad], connected=True)["text"] == "backend: no"
    assert overall([busy], connected=True) == {"status": "busy", "text": "At work: frontend"}
    assert overall([bad], connected=False)["status"] == "off"
