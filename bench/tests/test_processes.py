"""What processes cost."""

import os
import subprocess
import sys

from bench.processes import process_tree

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"])
print(child.pid, flush=True)
child.wait()
"""


def test_the_tree_is_the_process_and_what_it_started() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        tree = process_tree(parent.pid)
        assert all(process.memory > 1_000_000 for process in tree)
        parent.communicate("\n")
    assert [process.identifier for process in tree] == [parent.pid, child]
    assert [process.parent for process in tree] == [os.getpid(), parent.pid]
    assert [process.memory for process in tree] == [0, 0]
    assert process_tree(parent.pid) == []


BUSY = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
print("done", flush=True)
input()
"""


def test_what_has_ended_counts_for_what_has_started_it() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (process,) = process_tree(parent.pid)
        parent.communicate("\n")
    assert process.ended > 0.1
