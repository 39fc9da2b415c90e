"""Where the kernel does not tell of changes, files are looked at over and over instead, and that is said."""

import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from sample_project import Project
from warmfork.parent import supervisor
from warmfork.serve import serve
from warmfork.settings import Settings
from warmfork.sockets import bind
from warmfork.watching.watcher import WatchError
from warmfork_server import Server, unused_port

WITHOUT_INOTIFY = """
import sys
from warmfork import command
from warmfork.watching import watcher

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


def test_path_of_a_socket_is_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = tmp_path / "http.sock", []

    def give_up(settings: Settings) -> int:
        listener, _ = bind(settings, None)
        listener.close()
        raise WatchError("no inotify instance is left")

    def run(_: str, **options: Any) -> None:  # noqa: ANN401
        found.append(Path(options["uds"]).exists())

    monkeypatch.setattr(supervisor, "run", give_up)
    monkeypatch.setattr(uvicorn, "run", run)
    # It is set for uvicorn, and must not stay.
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "")
    assert serve(Settings(app="no:application", uds=str(path))) == 0
    assert found == [False]


def answers(server: Server, text: str) -> bool:
    """Tell whether that is the answer; unlike a fork, a new process may keep nobody waiting but refuse."""
    try:
        return server.text() == text
    except OSError:
        return False
