"""Lines from Tilt's stream: each once, in order, whatever happens to the connection."""

import json

import pytest

from dashboard.logs import Logs
from dashboard.tests.tilt_views import LogStore

TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/app/app/main.py", line 3, in read',
    "    return 1 / 0",
    "           ~~^~~",
    "ZeroDivisionError: division by zero",
)


@pytest.fixture
def store() -> LogStore:
    return LogStore()


@pytest.fixture
def logs() -> Logs:
    return Logs()


def texts(logs: Logs) -> list[str]:
    return [line.text for line in logs.after(0)]


def test_line_tells_where_and_when(store: LogStore, logs: Logs) -> None:
    store.log("backend", "ready\n")
    (line,) = logs.take(store.view())
    assert (line.id, line.resource, line.pod, line.source, line.level) == (1, "backend", "backend-1", "runtime", "info")
    assert (line.text, line.time) == ("ready", 1772366400000.0)


@pytest.mark.parametrize(
    ("span", "source"),
    (
        ("build:3", "build"),
        ("liveupdate:todo", "build"),
        ("pod:backend:backend-1", "runtime"),
        ("localserve:2", "runtime"),
    ),
)
def test_source(span: str, source: str, store: LogStore, logs: Logs) -> None:
    store.lines("backend", "x", span=span)
    assert logs.take(store.view())[0].source == source


def test_tilt_itself_has_no_resource(store: LogStore, logs: Logs) -> None:
    store.lines("(Tiltfile)", "loaded", span="tiltfile:(Tiltfile):1")
    assert logs.take(store.view())[0].resource == ""


def test_piece_waits_for_the_rest_of_its_line(store: LogStore, logs: Logs) -> None:
    store.log("backend", "one ")
    store.lines("frontend", "other")
    assert [line.text for line in logs.take(store.view())] == ["other"]
    before = store.total
    store.log("backend", "line\n")
    assert [line.text for line in logs.take(store.view(before))] == ["one line"]


def test_reconnection_shows_nothing_twice(store: LogStore, logs: Logs) -> None:
    store.lines("backend", "same", "same", "same")
    logs.take(store.view())
    store.lines("backend", "same", "new")
    logs.take(store.view())
    logs.take(store.view())
    assert texts(logs) == ["same", "same", "same", "same", "new"]


def test_tilt_that_has_forgotten_the_oldest(logs: Logs) -> None:
    store = LogStore(keeps=4)
    store.lines("backend", *"abcdef")
    logs.take(store.view())
    store.lines("backend", *"gh")
    logs.take(store.view())
    assert texts(logs) == list("cdefgh")


def test_another_tilt_begins_anew_and_keeps_what_was_shown(store: LogStore, logs: Logs) -> None:
    store.lines("backend", "before")
    logs.take(store.view())
    other = LogStore(session="2026-03-02T12:00:00+00:00")
    other.lines("backend", "after")
    logs.take(other.view())
    assert texts(logs) == ["before", "after"]


def test_each_line_once_over_many_reconnections(logs: Logs) -> None:
    store, sent = LogStore(keeps=10_000), 0
    for number in range(2_000):
        store.lines("backend" if number % 3 else "frontend", f"line {number}")
        if number % 7 == 0:
            # Every 97th message is the first of a new connection, with all that there is.
            logs.take(store.view(0 if number % 97 == 0 else sent))
            sent = store.total
    logs.take(store.view(sent))
    assert texts(logs) == [f"line {number}" for number in range(2_000)]
    assert [line.id for line in logs.after(0)] == list(range(1, 2_001))


def test_oldest_lines_go_when_there_are_too_many(store: LogStore) -> None:
    logs = Logs(maximum_lines=3)
    store.lines("backend", *"abcde")
    logs.take(store.view())
    assert (texts(logs), logs.first, logs.last) == (list("cde"), 3, 5)


def test_oldest_lines_go_when_they_are_too_long(store: LogStore) -> None:
    logs = Logs(maximum_characters=10)
    store.lines("backend", "x" * 6, "y" * 6)
    logs.take(store.view())
    assert texts(logs) == ["y" * 6]


@pytest.mark.parametrize(("after", "expected"), ((0, [3, 4, 5]), (3, [4, 5]), (5, []), (9, [])))
def test_lines_after_one(after: int, expected: list[int], store: LogStore) -> None:
    logs = Logs(maximum_lines=3)
    store.lines("backend", *"abcde")
    logs.take(store.view())
    assert [line.id for line in logs.after(after)] == expected


def test_first_lines_after_one(store: LogStore, logs: Logs) -> None:
    store.lines("backend", *"abcde")
    logs.take(store.view())
    assert [line.text for line in logs.after(1, 2)] == ["b", "c"]


def test_progress_bar_is_no_line(store: LogStore, logs: Logs) -> None:
    store.log("backend", "10%\n", span="build:1", progressID="push")
    store.log("backend", "100%\n", span="build:1", progressID="push", progressMustPrint="1")
    assert [line.text for line in logs.take(store.view())] == ["100%"]


def test_colours_are_left_out(store: LogStore, logs: Logs) -> None:
    store.lines("backend", "\x1b[1;31mred\x1b[0m")
    assert logs.take(store.view())[0].text == "red"


@pytest.mark.parametrize(
    ("text", "level"),
    (
        ("all is well", "info"),
        (json.dumps({"level": "warning", "msg": "slow"}), "warn"),
        (json.dumps({"level": "critical", "msg": "gone"}), "error"),
        ("{not json", "info"),
        ("2026-03-01 12:00:00.000 UTC [1] FATAL:  no such role", "error"),
        ("2026/03/01 12:00:00 [error] 7#7: connect() failed", "error"),
        ("WARNING: deprecated", "warn"),
        ("this sentence has so many words before it says ERROR", "info"),
    ),
)
def test_level(text: str, level: str, store: LogStore, logs: Logs) -> None:
    store.lines("backend", text)
    assert logs.take(store.view())[0].level == level


def test_tilt_s_own_level_counts(store: LogStore, logs: Logs) -> None:
    store.lines("backend", "x", level="ERROR")
    assert logs.take(store.view())[0].level == "error"


def test_traceback_is_one_message(store: LogStore, logs: Logs) -> None:
    store.lines("backend", "before", *TRACEBACK, "after")
    lines = logs.take(store.view())
    assert [line.head for line in lines] == [None, None, 2, 2, 2, 2, None]
    assert [line.level for line in lines] == ["info", *["error"] * 5, "info"]


def test_tracebacks_of_two_pods_are_two_messages(store: LogStore, logs: Logs) -> None:
    for line in TRACEBACK:
        for pod in "ab":
            store.lines("backend", line, span=f"pod:backend:backend-{pod}")
    heads = [(line.pod[-1], line.head) for line in logs.take(store.view())]
    assert heads == [("a", None), ("b", None), *[("a", 1), ("b", 2)] * 4]


def test_exception_that_led_to_another_is_part_of_the_message(store: LogStore, logs: Logs) -> None:
    chain = "During handling of the above exception, another exception occurred:"
    store.lines("backend", *TRACEBACK, "", chain, "", *TRACEBACK, "after")
    heads = [line.head for line in logs.take(store.view())]
    assert heads == [None, *[1] * 12, None]


def test_account_of_code_that_does_not_start_is_one_message(store: LogStore, logs: Logs) -> None:
    store.lines(
        "backend",
        "warmfork: app/main.py: not reloaded, the old code serves on",
        '  File "/app/app/main.py", line 9',
        "    def (",
        "SyntaxError: invalid syntax",
        '{"level": "info", "msg": "GET / 200"}',
    )
    lines = logs.take(store.view())
    assert [(line.level, line.head) for line in lines] == [("error", None), *[("error", 1)] * 3, ("info", None)]
