"""The product without a cluster, as `make dev` starts it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend_process import BACKEND, PATIENCE, environment, eventually, free_port
from dev.database import DatabaseError, Postgres
from dev.ports import listener
from statements import execute


def command(data: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "dev", "--data", str(data), "--port", str(port)]


def run(data: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data, port), cwd=BACKEND, env=environment(), capture_output=True, text=True, check=False
    )


class Site:
    """`python -m dev`, in a process group of its own as a shell gives it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
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
        try:
            return httpx.get(f"{self.url}/api/readyz").is_success
        except httpx.TransportError:
            return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "data")
    yield site
    if site.process.poll() is None:
        os.killpg(site.process.pid, signal.SIGTERM)
        site.process.communicate()


def test_site_serves_the_page_and_the_api_and_keeps_its_data(site: Site) -> None:
    site.start()
    httpx.post(f"{site.url}/api/todos/", json={"title": "kept"})
    assert "<title>" in httpx.get(site.url).text
    for hidden in ("nginx.conf", "tests", "..%2fREADME.md", "%2e%2e/pyproject.toml", "nothing.js"):
        assert httpx.get(f"{site.url}/{hidden}").status_code == 404
    again = run(site.data, free_port())
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.strip().endswith(f"is in use by process {site.process.pid}; stop that one first")
    other = run(site.data.with_name("other"), site.port)
    assert (other.returncode, other.stdout) == (1, "")
    holder = listener(site.port)
    assert holder is not None
    assert other.stderr.startswith(f"make dev: port {site.port} is taken by {holder}; stop it, or run: make dev PORT=")
    # Ctrl-C reaches the whole group; a supervisor signals only the process it started.
    os.killpg(site.process.pid, signal.SIGINT)
    site.finish()
    site.start()
    assert [todo["title"] for todo in httpx.get(f"{site.url}/api/todos/").json()] == ["kept"]
    site.process.send_signal(signal.SIGTERM)
    site.finish()
    assert listener(site.port) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", site.port))


@pytest.mark.parametrize(("port", "text"), (("x", "invalid int value: 'x'"), ("65536", "65536 is no port")))
def test_port_that_is_none_is_refused(tmp_path: Path, port: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dev", "--data", str(tmp_path / "data")],
        cwd=BACKEND,
        env=environment(PORT=port),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"cannot use .*/file"):
        Postgres(tmp_path / "file").claim()


def test_listener_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = Path("/proc/self/comm").read_text().strip()
        assert listener(server.getsockname()[1]) == f"{name} (process {os.getpid()})"
    assert listener(free_port()) is None


def test_data_outlive_the_server_and_an_owner_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from dev.database import Postgres;"
        "Postgres(Path(sys.argv[1]), durable=False).start(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "data")], cwd=BACKEND, check=False)
    assert killed.returncode == -signal.SIGKILL
    with Postgres(tmp_path / "data", durable=False) as server:
        execute(server.url(), "CREATE TABLE kept (id integer)")
        server.stop()
        server.start()
        assert execute(server.url(), "SELECT count(*) FROM kept") == [(0,)]


def test_interrupted_creation_is_started_over(tmp_path: Path) -> None:
    (tmp_path / "data/unfinished").mkdir(parents=True)
    (tmp_path / "data/unfinished/PG_VERSION").write_text("18\n")
    with Postgres(tmp_path / "data", durable=False) as server:
        assert execute(server.url(), "SELECT 1") == [(1,)]


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
