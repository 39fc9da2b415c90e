"""Who is answered, and what a browser may do with the answer: this machine's own browser, on our own page."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class OwnPageOnly:
    """Refuses requests of other pages, also of those whose name has been made to point here (DNS rebinding)."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Stand in front of an application that listens on a port of the loopback address."""
        self._app = app
        self._port = port
        self._hosts = {f"{name}:{port}" for name in ("localhost", "127.0.0.1")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = PlainTextResponse(f"This page answers at http://localhost:{self._port} alone.\n", 403)
        admitted = scope["type"] == "http" and self._is_own(scope["method"], Headers(scope=scope))
        await (self._app if admitted else refusal)(scope, receive, send_with_policy)

    def _is_own(self, method: str, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        # A link from elsewhere, such as Tilt's page, only opens ours.
        is_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        return (
            headers.get("host") in self._hosts
            and (origin is None or origin in self._origins)
            and (site in {"none", "same-origin"} or is_link)
        )
