"""Reads versions.toml."""

import functools
import platform
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "versions.toml"


@dataclass(frozen=True)
class Wheel:
    """A file on PyPI: what pip is asked for, and what it must hash to."""

    requirement: str
    sha256: str


@dataclass(frozen=True)
class Release:
    """A released program. url has placeholders, sha256 one entry a platform."""

    version: str
    url: str
    sha256: dict[str, str]

    def download(self) -> tuple[str, str]:
        """Address and sha256 for this machine. Raises LookupError where no checksum is pinned."""
        system = platform.system().lower()
        machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        arch = {"x86_64": "amd64"}.get(machine, machine)
        address = self.url.format(
            version=self.version,
            os=system,
            arch=arch,
            machine=machine,
            mac_or_linux={"darwin": "mac"}.get(system, system),
        )
        return address, self.sha256[f"{system}-{arch}"]


def numbers(version: str) -> tuple[int, ...]:
    """(1, 36, 3) for "v1.36.3", for comparing. Suffixes such as -dev are dropped."""
    found = re.search(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def wheel(name: str) -> Wheel:
    return Wheel(**_pins()["wheels"][name])


def release(name: str) -> Release:
    return Release(**_pins()["tools"][name])


@functools.cache
def _pins() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text())
