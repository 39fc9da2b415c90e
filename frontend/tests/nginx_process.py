"""The real nginx with nginx.conf on a loopback port, configured as in the production or the development image."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frontend.tests.fake_api import FRONTEND, content_security_policy

SERVED = ("404.html", "app.js", "favicon.svg", "index.html", "style.css")
RUNTIME_USER = 10001
# Seconds; far more than any of the answers takes.
PATIENCE = 30
SECURITY_HEADERS = {
    "Content-Security-Policy": content_security_policy(),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def find_nginx() -> str:
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return path or pytest.fail("nginx not found; run `apt-get install nginx-light`")


@dataclass(frozen=True)
class Reply:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> object:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


def assert_security_headers(reply: Reply) -> None:
    assert {name: reply.headers.get_all(name) for name in SECURITY_HEADERS} == {
        name: [value] for name, value in SECURITY_HEADERS.items()
    }
    (request_id,) = reply.headers.get_all("X-Request-ID") or []
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", request_id)
    assert reply.headers["Server"] == "nginx"


@dataclass(frozen=True)
class Nginx:
    """A running nginx, which has `folder` to itself."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def html(self) -> Path:
        return self.folder / "html"

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request on a connection of its own; `headers` have _ for -."""
        connection = self.connect()
        try:
            connection.request(method, target, body, {name.replace("_", "-"): v for name, v in headers.items()})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Reply:
        return self.ask("GET", target, None, **headers)

    def send_raw(self, request: bytes) -> Reply:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Reply(response.status, response.headers, response.read())


@contextmanager
def running_nginx(
    backend_port: int, changes: dict[str, str] | None = None, *, browser_reload: int | None = None
) -> Iterator[Nginx]:
    """Run nginx with nginx.conf, changed only in where it listens, asks, reads and writes, and by `changes`.

    It is the development image's where the port of browser-reload is given.
    """
    with tempfile.TemporaryDirectory(prefix="nginx-") as name, reserved_port() as port:
        folder = Path(name)
        # A copy, because the original may lie in a home folder that the runtime user cannot enter.
        executable = shutil.copy(find_nginx(), folder / "nginx")
        (folder / "html").mkdir()
        for file in SERVED:
            shutil.copy(FRONTEND / file, folder / "html")
        (folder / "nginx.conf").write_text(configuration(folder, port, backend_port, changes or {}))
        if browser_reload is not None:
            (folder / "html" / "browser_reload").mkdir()
            shutil.copy(FRONTEND / "browser_reload" / "client.js", folder / "html" / "browser_reload")
            (folder / "server.d").mkdir()
            (folder / "server.d" / "browser-reload.conf").write_text(development_locations(folder, browser_reload))
        # As in the container not root, and the owner of only its folder for temporary files.
        user = RUNTIME_USER if os.geteuid() == 0 else None
        if user:
            os.chown(folder, user, user)
        # Without "-e", nginx looks for the log of its packager before it reads the configuration.
        command = [executable, "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        with (
            (folder / "stderr").open("w") as errors,
            subprocess.Popen(
                command, stderr=errors, user=user, group=user, extra_groups=[] if user else None
            ) as process,
        ):
            nginx = Nginx(folder, port, process)
            try:
                while refuses_connections(port):
                    assert process.poll() is None, f"nginx did not start: {nginx.errors()}"
                yield nginx
            finally:
                process.terminate()
                process.wait(PATIENCE)


def configuration(folder: Path, port: int, backend_port: int, changes: dict[str, str]) -> str:
    text = (FRONTEND / "nginx.conf").read_text().replace(" /tmp/", f" {folder}/")
    # It stands there several times.
    text = text.replace("server backend:8000 ", f"server 127.0.0.1:{backend_port} ")
    return replaced(
        text,
        {
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "root /usr/share/nginx/html;": f"root {folder}/html;",
            "access_log /dev/stdout ": f"access_log {folder}/access.log ",
            **changes,
        },
    )


def development_locations(folder: Path, browser_reload_port: int) -> str:
    text = (FRONTEND / "browser_reload" / "nginx.conf").read_text()
    return replaced(
        text.replace(" /usr/share/nginx/html/", f" {folder}/html/"),
        {
            "resolver kube-dns.kube-system.svc ": "resolver 127.0.0.1 ",
            " browser-reload.todo.svc.cluster.local;": " 127.0.0.1;",
            "$browser_reload:8000;": f"$browser_reload:{browser_reload_port};",
        },
    )


def replaced(text: str, changes: dict[str, str]) -> str:
    """Replace in a configuration; every text to replace has to be there exactly once."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"the configuration has {old!r} {text.count(old)} times, not once"
        text = text.replace(old, new)
    return text


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionError:
        return True
    return False


@contextmanager
def reserved_port() -> Iterator[int]:
    """Provide a port on which nobody listens, and on which only who knows it can."""
    with socket.socket() as holder:
        # As long as this one does not listen, another that says the same can, and the kernel gives the port to nobody.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
