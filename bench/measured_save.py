"""One save of a server's application, and what its answers are like meanwhile."""

import time
from random import Random

from bench.connection import Target
from bench.history import Judge
from bench.load import Load, Rate
from bench.saves import Edit, Mode
from bench.servers import HOST, read_version
from bench.summary import save_columns

# Seconds.
RATE = Rate(new_period=0.005, kept=4, kept_period=0.02)
LEAD, LEAD_RANGE = 0.2, 0.4
WATCHED, WATCHED_AFTER_SERVED = 1.0, 0.35
GIVE_UP = 30.0

METHOD = """\
Latency: from the save to the end of the first answer that shows the edit, over a new connection each 5 ms; beside them
4 kept connections send a request each 20 ms. Counted from at least 0.2 s before a save to 1 s after it, or 0.35 s after
the first new answer. *Failed*: refused, reset, closed without an answer, not a 200, no answer in 10 s. *Wrong*: older
code than an earlier answer had shown. *Stale*: sent after the save and answered by the old code. *Dropped*: idle kept
connections that the server closed without having said so. Percentiles are nearest-rank."""


def measure_save(target: Target, judge: Judge, edit: Edit, mode: Mode, random: Random) -> dict[str, str]:
    """Save at a random moment while requests go on; return the columns of bench.summary."""
    with Load(target, RATE) as load:
        time.sleep(LEAD + LEAD_RANGE * random.random())
        saved = edit.save(mode)
        judge.expect(edit.version, saved)
        served = load.first_answer(edit.version, GIVE_UP)
        until = max(saved + WATCHED, (served or 0) + WATCHED_AFTER_SERVED)
        time.sleep(max(until - time.monotonic(), 0))
    return save_columns(None if served is None else 1000 * (served - saved), judge.tally(load.take()))


def target(port: int, path: str) -> Target:
    """Return what is asked of a server on this machine."""
    return Target(HOST, port, path, lambda body: (read_version(body), ""))
