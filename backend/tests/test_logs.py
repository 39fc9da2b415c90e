import json
import logging
import sys
from collections.abc import Callable
from functools import partial

import pytest
from fastapi.testclient import TestClient

from app.logs import HumanFormatter, JsonFormatter, configure_logs, request_id


def record(message: str, *, exception: bool = False, **fields: object) -> logging.LogRecord:
    trace = None
    if exception:
        try:
            int("oops")
        except ValueError:
            trace = sys.exc_info()
    made = logging.LogRecord("app", logging.WARNING, "", 0, message, None, trace)
    made.fields = fields
    return made


def test_json_keeps_an_event_on_one_line() -> None:
    line = JsonFormatter().format(record("two\nlines", exception=True, path="/a\nb"))
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["msg"], parsed["level"], parsed["path"]) == ("two\nlines", "warning", "/a\nb")
    assert "ValueError: invalid literal" in parsed["exception"]
    assert parsed["ts"].endswith("+00:00")


def test_request_id_is_added_to_every_line() -> None:
    token = request_id.set("my-id")
    try:
        assert json.loads(JsonFormatter().format(record("x")))["request_id"] == "my-id"
        assert HumanFormatter().format(record("x")).endswith("x  [my-id]")
    finally:
        request_id.reset(token)
    assert "request_id" not in JsonFormatter().format(record("x"))


def test_people_see_the_traceback() -> None:
    assert HumanFormatter().format(record("x", exception=True)).endswith("'oops'")


def test_style_is_the_setting(serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    styles: list[str] = []
    monkeypatch.setattr("app.main.configure_logs", styles.append)
    serve("postgresql://nowhere/todo", log_format="human")
    assert styles == ["human"]


def test_configuring_takes_over_uvicorns_logs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    # By its method, for loggers remember the level.
    request.addfinalizer(partial(root.setLevel, root.level))
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", False)
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
    configure_logs("json")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("request")
    captured = capsys.readouterr()
    assert [json.loads(line)["msg"] for line in captured.out.splitlines()] == ["started"]
    assert captured.err == ""
