"""What is read in warmfork's lines."""

from bench.warmfork_log import restarts, ways

LINES = (
    "warmfork: serving app.main:app on http://127.0.0.1:8000 (started in 800 ms)",
    "warmfork: app/main.py: reloaded in 30 ms",
    "warmfork: app/main.py, app/leaf.py: reloaded in 31 ms (standby)",
    "warmfork: app/main.py: reloaded in 120 ms (imported: a decorator changed)",
    "an application's line: reloaded in 1 ms (swapped)",
    "warmfork: restarting: lxml started 1 thread",
)


def test_ways_and_restarts() -> None:
    assert ways(LINES) == ["imported", "standby", "imported"]
    assert restarts(LINES) == 1
