"""What the tests drive for real and pip cannot bring: a browser and nginx."""

import os
import shutil
from pathlib import Path

from devenv import apt, paths
from devenv.failure import Failure
from devenv.process import Log
from devenv.progress import Step, run_steps

_BROWSERS = ["chromium", "google-chrome", "chromium-browser"]
# The same without windows, in half the time.
_HEADLESS = "chromium-headless-shell"
# Unpacked, not installed: the installed package starts a server that listens on every address.
_NGINX = paths.CACHE / "test-tools" / "nginx"
_NGINX_PROGRAM = _NGINX / "usr" / "sbin" / "nginx"


def ensure() -> None:
    """A browser and nginx. Raises Failure with what to install where devenv cannot bring them."""
    run_steps("Test tools", _STEPS)


def is_complete() -> bool:
    return all(step.is_done() for step in _STEPS)


def folders() -> list[Path]:
    """Where nginx may be that is not on everybody's PATH."""
    return [_NGINX_PROGRAM.parent, Path("/usr/sbin")]


def _has_browser() -> bool:
    return bool(os.environ.get("CHROMIUM")) or any(map(shutil.which, _BROWSERS))


def _bring_browser(log: Log) -> None:
    apt.require_root("a browser", "chromium")
    apt.install(["chromium"], log)


def _has_headless() -> bool:
    """True as well where it would be in vain to try: the tests do without."""
    is_possible = apt.release()[0] == "debian" and os.geteuid() == 0
    return bool(os.environ.get("CHROMIUM")) or bool(shutil.which(_HEADLESS)) or not is_possible


def _bring_headless(log: Log) -> None:
    apt.install([_HEADLESS], log)


def _has_nginx() -> bool:
    return any((folder / "nginx").is_file() for folder in folders()) or bool(shutil.which("nginx"))


def _bring_nginx(log: Log) -> None:
    if apt.release()[0] not in {"debian", "ubuntu"}:
        raise Failure(
            "nginx",
            "the tests of its configuration run the real one, which is not here",
            "install your distribution's nginx package, then run the same command again",
        )
    apt.unpack(["nginx"], _NGINX, log)


_STEPS = [
    Step("Chromium", 60, _has_browser, _bring_browser),
    Step("Chromium without windows", 10, _has_headless, _bring_headless),
    Step("nginx", 10, _has_nginx, _bring_nginx),
]
