"""Where the kernel does not tell of changes, files are looked at over and over instead, and that is said."""

import sys

from sample_project import Project
from warmfork_server import Server, unused_port

WITHOUT_INOTIFY = """
import sys
from warmfork import command, watcher

def refuse(*_):
    raise watcher.WatchError("no inotify instance is left")

watcher.Watcher.__init__ = refuse
if __name__ == "__main__":
    command.main(sys.argv[3:])
"""


def test_reload_by_polling(tiny: Project) -> None:
    server = Server(tiny, prefix=(sys.executable, "-c", WITHOUT_INOTIFY), port=unused_port())
    try:
        server.until_reported("^no inotify instance is left; ")
        server.until("it answers", lambda: answers(server, "0"))
        tiny.write("version.py", "VERSION = 1\n")
        server.until("the new code answers", lambda: answers(server, "1"))
    finally:
        server.stop()


def answers(server: Server, text: str) -> bool:
    """Tell whether that is the answer; unlike a fork, a new process may keep nobody waiting but refuse."""
    try:
        return server.text() == text
    except OSError:
        return False
