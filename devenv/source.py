"""Where the outside parts come from: released binaries, or package registries alone."""

import http
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from devenv import paths
from devenv.failure import Failure
from devenv.progress import say

RELEASE = "release"
REGISTRY = "registry"
_MEMORY = paths.STATE / "source"
# The two kinds of place that release mode needs: images and released files.
_PROBES = ["https://registry-1.docker.io/v2/", "https://dl.k8s.io/release/stable.txt"]
_PROBE_SECONDS = 4


def source() -> str:
    """RELEASE or REGISTRY. Found out once and remembered: a cluster of one kind cannot go on with the other's images.

    DEVENV_SOURCE overrides. Raises Failure when the override is neither.
    """
    override = os.environ.get("DEVENV_SOURCE", "")
    if override:
        if override not in {RELEASE, REGISTRY}:
            raise Failure(
                f"DEVENV_SOURCE={override}", "is neither release nor registry", "unset it, or use one of the two"
            )
        return override
    if _MEMORY.is_file():
        return _MEMORY.read_text().strip()
    with ThreadPoolExecutor() as pool:
        found = RELEASE if all(pool.map(_reachable, _PROBES)) else REGISTRY
    say(
        "Source: released binaries and images."
        if found == RELEASE
        else "Source: package registries alone; tools and images are built from them once. "
        "DEVENV_SOURCE=release overrides."
    )
    _MEMORY.parent.mkdir(parents=True, exist_ok=True)
    _MEMORY.write_text(found)
    return found


def forget() -> None:
    """Find out anew at the next run."""
    _MEMORY.unlink(missing_ok=True)


def _reachable(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=_PROBE_SECONDS):
            return True
    except urllib.error.HTTPError as answer:
        # So an image registry answers strangers: it is there.
        return answer.code == http.HTTPStatus.UNAUTHORIZED
    except OSError:
        return False
