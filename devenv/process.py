"""Running other programs: output into a log, readable failures, no stray children."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from devenv.failure import Failure

# Enough of a failed command's output to see the cause without opening the log.
_TAIL_LINES = 15


class Log:
    """A file that collects the output of one step's commands."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # What the step is at, for the person at the terminal.
        self.remark = ""
        self._file: IO[bytes] = path.open("wb")

    def write(self, text: str) -> None:
        self._file.write(text.encode())
        self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def tail(self) -> str:
        lines = [line for line in self.path.read_text(errors="replace").splitlines() if line[:2] not in {"", "$ "}]
        return "\n".join(lines[-_TAIL_LINES:])

    def close(self) -> None:
        self._file.close()


def run(
    command: Sequence[str | Path],
    log: Log,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    remedy: str = "",
) -> None:
    """Run to completion with all output in `log`.

    env: added to this process's environment. Raises Failure when the command is missing or exits non-zero.
    """
    words = [str(word) for word in command]
    log.write(f"$ {' '.join(words)}\n")
    with _started(words, env, cwd, stdin=stdin or subprocess.DEVNULL, stdout=log.fileno()) as process:
        code = process.wait()
    if code:
        raise Failure(
            f"{_title(words)} exited with {code}",
            log.tail(),
            remedy or f"read {log.path}, then run the same make target again: it resumes",
        )


def output(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """The command's standard output, stripped. Raises Failure with its standard error."""
    words = [str(word) for word in command]
    with _started(words, env, cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate()
    if process.returncode:
        cause = (err or out).decode(errors="replace").strip()
        raise Failure(f"{_title(words)} exited with {process.returncode}", cause or "no output", "make doctor")
    return bytes(out).decode(errors="replace").strip()


def succeeds(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout: float = 60) -> bool:
    """True when the command exists and exits with 0 within `timeout` seconds; its output is dropped."""
    environment = {**os.environ, **(env or {})}
    words = [str(word) for word in command]
    words[0] = shutil.which(words[0], path=environment["PATH"]) or words[0]
    try:
        result = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def interactive(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pidfile: Path | None = None,
) -> int:
    """Run on the person's own terminal; Ctrl-C reaches the program, which ends by itself. Returns its exit code.

    pidfile: holds the program's process id while it runs.
    """
    environment = {**os.environ, **(env or {})}
    words = [str(word) for word in command]
    # Popen looks a name up on this process's PATH, not on the one that it is given.
    words[0] = shutil.which(words[0], path=environment["PATH"]) or words[0]
    try:
        process = subprocess.Popen(words, env=environment, cwd=cwd)
    except FileNotFoundError:
        raise Failure(words[0], "is not installed", "make doctor") from None
    if pidfile:
        pidfile.write_text(str(process.pid))
    forward = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            # The terminal has sent the program the same signal: let it finish its own way.
            with contextlib.suppress(KeyboardInterrupt):
                return process.wait()
    finally:
        signal.signal(signal.SIGTERM, forward)
        if pidfile:
            pidfile.unlink(missing_ok=True)


def pid_of(pidfile: Path, program: str) -> int:
    """The process id in the file; 0 when none of this program runs under it any more."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(pidfile.read_text())
        if program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def end(pidfile: Path, program: str, name: str, seconds: float) -> None:
    """Have the program whose process id is in the file end. Raises Failure when it has not after so many seconds.

    name: what people call it.
    """
    if not (pid := pid_of(pidfile, program)):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while pid_of(pidfile, program):
        if time.monotonic() > deadline:
            raise Failure(name, f"process {pid} did not end within {seconds:g} s", f"kill {pid}")
        time.sleep(0.05)


@contextlib.contextmanager
def _started(
    words: list[str],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    *,
    stdout: int,
    stderr: int = subprocess.STDOUT,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **(env or {})}
    words = [shutil.which(words[0], path=environment["PATH"]) or words[0], *words[1:]]
    # A group of its own lets an interruption end the command with everything that it started.
    interruptions: list[int] = []
    try:
        with _interruptions_kept(interruptions):
            process = subprocess.Popen(
                words,
                env=environment,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
    except FileNotFoundError:
        raise Failure(words[0], "is not installed", "make doctor") from None
    try:
        if interruptions:
            signal.raise_signal(signal.SIGINT)
        yield process
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise


@contextlib.contextmanager
def _interruptions_kept(seen: list[int]) -> Iterator[None]:
    """Keep Ctrl-C for later: in the middle of a start nobody would know of the process that has been started."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _title(words: list[str]) -> str:
    """The program and what it was told to do, such as "docker build"."""
    verbs = [word for word in words[1:] if not word.startswith("-") and not set(word) & set("=: /")]
    return " ".join([Path(words[0]).name, *verbs[:1]])
