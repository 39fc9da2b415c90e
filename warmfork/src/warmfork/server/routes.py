"""Has routes built that wait for the first request, as FastAPI's do: some hundred take a tenth of a second."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

# Of a path that no route has.
_SCOPE = {"type": "http", "method": "GET", "path": "/\0", "raw_path": b"/\0", "query_string": b"", "headers": []}
# Applications that may be around the one with routes.
_MOST = 20


def build_routes(application: object) -> None:
    """Ask each route whether it is for a request that none is for; for that it is built, and for all after it."""
    with suppress(Exception):
        for route in _routes(application):
            route.matches({**_SCOPE, "root_path": ""})


def _routes(application: Any) -> Iterable[Any]:  # noqa: ANN401 - whatever serves
    for _ in range(_MOST):
        if hasattr(application, "routes"):
            routes: Iterable[Any] = application.routes
            return routes
        # Middleware has what it is around under this name.
        application = getattr(application, "app", None)
    return []
