"""Where and with what a measurement was made."""

import json
import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from devenv.process import output
from tests.e2e.kubectl import CONTEXT


def describe_machine() -> str:
    """Return the machine's size, processor, system and how busy it is, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    kernel = ".".join(platform.release().split(".")[:2])
    parts = (f"{os.cpu_count()} cores ({_processor()})", f"{memory:.0f} GiB", system, f"kernel {kernel}")
    return f"{', '.join(parts)}; load average {os.getloadavg()[0]:.1f} at the start"


def describe_packages(names: Iterable[str]) -> str:
    """Return this Python's version and those of installed packages, in a line."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])


def describe_cluster() -> str:
    """Return the versions of what runs the loop, in a line."""
    tilt = output(["tilt", "version"]).partition(",")[0]
    kubernetes = json.loads(output(["kubectl", "--context", CONTEXT, "version", "--output", "json"]))
    server = kubernetes["serverVersion"]["gitVersion"]
    return f"Tilt {tilt}, Kubernetes {server} in kind, {output(['docker', '--version'])}."


def warn_if_busy() -> None:
    """Say so when other programs are using the processor, as that makes every figure worse."""
    if (load := os.getloadavg()[0]) > 0.5:  # noqa: PLR2004
        print(f"warning: the load average is {load:.1f}; figures taken on a busy machine are too high")


def today() -> str:
    """Return the date."""
    return datetime.now(UTC).date().isoformat()


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()
