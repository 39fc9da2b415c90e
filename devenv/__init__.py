"""Prepares a machine for the inner loop: tools, container engine, base images, cluster.

Standard library only, Python 3.11 or newer, so that it runs before anything is installed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whatever a machine calls python3
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"error: Python {found}\n"
        "cause: python3 is older than 3.11, with which devenv and what Tilt starts run\n"
        "next:  install a newer one and put it first on PATH as python3 (docs/troubleshooting.md)"
    )
