from typing import Any

from devenv import ci


def view(*resources: tuple[str, dict[str, Any]], printed: dict[str, str] | None = None) -> dict[str, Any]:
    segments = [{"spanId": f"cmd:{name}:update", "text": text} for name, text in (printed or {}).items()]
    return {
        "uiResources": [{"metadata": {"name": name}, "status": status} for name, status in resources],
        "logList": {"segments": segments},
    }


READY = {"updateStatus": "ok", "runtimeStatus": "ok"}
UNREADY = {"updateStatus": "ok", "runtimeStatus": "pending"}
RUNNING = {"updateStatus": "in_progress"}


def test_a_recorded_failure_hides_what_was_only_interrupted() -> None:
    failed = {"updateStatus": "error", "buildHistory": [{"error": "Build failed:\nno such file"}]}
    assert ci._causes(view(("backend", failed), ("rollout", RUNNING)), []) == ["backend: no such file"]


def test_the_words_of_a_check_count_before_tilt_has_recorded_its_end() -> None:
    said = {"network-policy": "Running cmd: python3\nFAILED: a path is open\n"}
    causes = ci._causes(view(("network-policy", RUNNING), ("smoke", RUNNING), printed=said), [])
    assert causes == ["network-policy: failed", "    | Running cmd: python3", "    | FAILED: a path is open"]


def test_when_the_time_runs_out_the_late_are_named() -> None:
    causes = ci._causes(view(("backend", UNREADY), ("frontend", READY), ("rollout", RUNNING)), [])
    assert causes == ["backend: not ready in time", "rollout: not finished"]


def test_a_missing_snapshot_is_said() -> None:
    (line,) = ci._causes({}, [])
    assert "no snapshot" in line
