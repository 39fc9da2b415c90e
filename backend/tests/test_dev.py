"""The product without a cluster, as `make dev` starts it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from backend_process import BACKEND, PATIENCE, answers, environment, eventually
from dev.__main__ import PortError, bind, main
from dev.database import AS_NOBODY, DatabaseError, Postgres
from dev.ports import listener
from statements import execute
from tests.ports import reserved_port
from tests.postgres import new_server


def command(data: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "dev", "--data", str(data), "--port", str(port)]


class Site:
    """`python -m dev`, in a process group of its own as a shell gives it."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            command(self.data, self.port),
            cwd=BACKEND,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        eventually(self._serving)

    def finish(self) -> str:
        """Wait for the end and return what was printed."""
        printed, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, printed
        assert "Traceback" not in printed, printed
        return printed

    def _serving(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0]
        return answers(self.port, "/api/readyz")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with reserved_port() as port:
        site = Site(tmp_path / "data", port)
        yield site
        if site.process.poll() is None:
            os.killpg(site.process.pid, signal.SIGTERM)
            site.process.communicate()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Return what runs the command in this process, where it must not get far; gives its exit status."""
    before = signal.getsignal(signal.SIGTERM)

    def run(data: Path) -> int:
        monkeypatch.setattr(sys, "argv", ["dev", "--data", str(data)])
        return main()

    yield run
    signal.signal(signal.SIGTERM, before)


def test_site_serves_the_page_and_the_api_and_keeps_its_data(
    site: Site, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    site.start()
    with httpx.Client(base_url=site.url) as client:
        client.post("/api/todos/", json={"title": "kept"})
        assert "<title>" in client.get("/").text
        for hidden in ("nginx.conf", "tests", "..%2fREADME.md", "%2e%2e/pyproject.toml", "nothing.js"):
            assert client.get(f"/{hidden}").status_code == 404
    assert run(site.data) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("make dev: ")
    assert said.err.strip().endswith(f"is in use by process {site.process.pid}; stop that one first")
    with pytest.raises(PortError, match=rf"^port {site.port} is taken by .+; stop it, or run: make dev PORT="):
        bind(site.port)
    # Ctrl-C reaches the whole group; a supervisor signals only the process it started.
    os.killpg(site.process.pid, signal.SIGINT)
    site.finish()
    site.start()
    with httpx.Client(base_url=site.url) as client:
        assert [todo["title"] for todo in client.get("/api/todos/").json()] == ["kept"]
    site.process.send_signal(signal.SIGTERM)
    site.finish()
    assert listener(site.port) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", site.port))


def test_port_that_is_none_is_refused(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SystemExit):
        run(tmp_path / "data")
    assert "invalid int value: 'x'" in capsys.readouterr().err
    with pytest.raises(PortError, match="65536 is no port"):
        bind(65536)


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"cannot use .*/file"):
        Postgres(tmp_path / "file").claim()


def test_listener_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = Path("/proc/self/comm").read_text().strip()
        assert listener(server.getsockname()[1]) == f"{name} (process {os.getpid()})"
    with reserved_port() as port:
        assert listener(port) is None


def test_data_outlive_the_server_and_an_owner_that_was_killed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = (
        "import os, sys; from pathlib import Path; from dev.database import Postgres;"
        "Postgres(Path(sys.argv[1]), durable=False).start(); os.kill(os.getpid(), 9)"
    )
    server = new_server(tmp_path_factory, tmp_path / "data")
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "data")], cwd=BACKEND, check=False)
    assert killed.returncode == -signal.SIGKILL
    with server:
        execute(server.url(), "CREATE TABLE kept (id integer)")
        server.stop()
        with socket.socket() as other, pytest.raises(OSError, match="already in use"):
            # The port is kept for the next start.
            other.bind(("127.0.0.1", server.port))
        server.start()
        assert execute(server.url(), "SELECT count(*) FROM kept") == [(0,)]


def test_interrupted_creation_is_started_over(tmp_path: Path) -> None:
    (tmp_path / "data/unfinished").mkdir(parents=True)
    (tmp_path / "data/unfinished/PG_VERSION").write_text("18\n")
    with Postgres(tmp_path / "data", durable=False) as server:
        assert execute(server.url(), "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as whoever starts it, but not as root")
def test_programs_are_found_in_a_home_that_is_closed_to_others(tmp_path: Path) -> None:
    """PostgreSQL asks access() for its own, which may lie in root's home."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "program").touch(mode=0o755)
    ask = f"import os, sys; sys.exit(not os.access({str(closed / 'program')!r}, os.X_OK))"
    assert subprocess.run([*AS_NOBODY, sys.executable, "-c", ask], check=False).returncode == 0


def test_password_is_needed_and_not_guessable(postgres: Postgres) -> None:
    with pytest.raises(Exception, match="password authentication failed"):
        execute(f"postgresql://postgres:postgres@127.0.0.1:{postgres.port}/postgres", "SELECT 1")


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data/cluster").mkdir(parents=True)
    (tmp_path / "data/cluster/PG_VERSION").write_text("17\n")
    with pytest.raises(DatabaseError, match=r"holds data of PostgreSQL 17, not 18; move it away or delete it"):
        Postgres(tmp_path / "data").__enter__()


def test_failed_start_shows_the_servers_own_words(tmp_path: Path) -> None:
    (tmp_path / "data/cluster").mkdir(parents=True)
    (tmp_path / "data/cluster/PG_VERSION").write_text("18\n")
    with pytest.raises(DatabaseError, match=r"pg_ctl failed"):
        Postgres(tmp_path / "data").__enter__()
