"""A server is started, looked at, and ended with all that it has started."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import servers
from bench.processes import process_tree
from bench.sample_application import SampleApplication
from bench.servers import Server
from devenv.failure import Failure


def test_nothing_is_left(tmp_path: Path) -> None:
    with Server("uvicorn --reload", SampleApplication(tmp_path / "application", 10)) as server:
        assert not server.has_ended
        processes = server.processes()
        assert len(processes) > 1
        assert processes[0].memory > 1_000_000
    assert [left for process in processes for left in process_tree(process.identifier)] == []


def test_one_that_does_not_start_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    application = SampleApplication(tmp_path / "application", 10)
    server = Server("hypercorn --reload", application)
    (application.folder / "app" / "main.py").write_text("raise RuntimeError('broken')\n")
    with pytest.raises(Failure, match="broken"), ExitStack() as stack:
        stack.enter_context(server)


def test_every_command_is_known_by_its_first_word() -> None:
    assert len({name.partition(" ")[0] for name in servers.COMMANDS}) == len(servers.COMMANDS)
