"""Packages of Debian and Ubuntu: installed, or unpacked beside the machine's own, for which nobody need be root."""

import os
import platform
import re
import shutil
from pathlib import Path

from devenv import paths
from devenv.failure import Failure
from devenv.process import Log, run

_SOURCES = Path("/etc/apt")


def release() -> tuple[str, str]:
    """The machine's distribution and suite, such as ("debian", "bookworm"). Empty strings where there is none."""
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return "", ""
    return facts.get("ID", ""), facts.get("VERSION_CODENAME", "")


def mirror() -> str:
    """The Debian mirror that the machine itself uses. Raises Failure where there is none."""
    for path in [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]:
        if not path.is_file() or path.suffix not in {".list", ".sources"}:
            continue
        found = re.search(r"^(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", path.read_text(), re.MULTILINE)
        if found:
            return found[1].rstrip("/")
    raise Failure(
        "registry-only mode",
        "this machine's apt sources name no Debian mirror",
        "use Debian 12, or set DEVENV_SOURCE=release where release downloads are reachable",
    )


def install(packages: list[str], log: Log) -> None:
    """Install from the machine's own suite. Needs root."""
    run(["apt-get", "update"], log)
    run(
        ["apt-get", "install", "--yes", "--no-install-recommends", *packages],
        log,
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )


def unpack(packages: list[str], target: Path, log: Log, *, suite: str = "") -> None:
    """Download packages without their dependencies and unpack them into `target`.

    suite: of Debian; the machine's own, Debian's or Ubuntu's, unless told otherwise. Lists and archives live apart, so
    that the machine's own apt never sees another suite.
    """
    home = paths.CACHE / "apt" / (suite or "own")
    downloads = home / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    for folder in [target, downloads, home / "lists" / "partial", home / "cache" / "archives" / "partial"]:
        folder.mkdir(parents=True, exist_ok=True)
    (home / "status").touch()
    options: dict[str, str | Path] = {
        "Dir::State::Lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
    }
    if os.geteuid() == 0:
        # The downloads folder belongs to the caller, which apt's own download user cannot write to.
        options["APT::Sandbox::User"] = "root"
    if suite:
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (home / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror()} {suite} main\n")
        options |= {"Dir::Etc::SourceList": home / "sources.list", "Dir::Etc::SourceParts": "-"}
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", *flags, "update"], log)
    run(["apt-get", *flags, "download", *packages], log, cwd=downloads)
    for archive in sorted(downloads.glob("*.deb")):
        run(["dpkg-deb", "--extract", archive, target], log)


def require_root(what: str, packages: str) -> None:
    """Raise Failure unless this process may install packages."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return
    raise Failure(
        what,
        "it is not installed, and only root on Debian or Ubuntu can have it installed from here",
        f"install it (Debian and Ubuntu: sudo apt-get install {packages}), then run the same command again",
    )
