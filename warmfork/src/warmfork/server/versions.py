"""Which versions of uvicorn are known inside."""

import re

import uvicorn

# Minor versions with which all tests have passed, of 0.x.
_OLDEST, _NEWEST = 35, 54


def unknown_version() -> str:
    """Return uvicorn's version if its inside may be another than the one known here; empty if not."""
    found = re.match(r"0\.(\d+)\b", uvicorn.__version__)
    is_known = found is not None and _OLDEST <= int(found[1]) <= _NEWEST
    return "" if is_known else uvicorn.__version__
