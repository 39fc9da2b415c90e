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
        parent.communicate("\n")
    assert [process.identifier for process in tree] == [parent.pid, child]
    assert [process.parent for process in tree] == [os.getpid(), parent.pid]
    assert all(process.memory > 1_000_000 for process in tree)
    assert process_tree(parent.pid) == []
