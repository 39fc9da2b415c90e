"""Connections with TLS are served too. None can change its process, so they end between two requests at a reload."""

import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from http_connection import Connection, request
from sample_project import Project
from warmfork_server import Serve, Server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for the loopback address, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    command = ["openssl", "req", "-x509", *kind, *name, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def client(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what a client needs that trusts this certificate alone."""
    return ssl.create_default_context(cafile=certificate[0])


@pytest.fixture
def files(certificate: tuple[Path, Path]) -> tuple[str, ...]:
    """Return the options for the server."""
    return ("--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1]))


@pytest.mark.parametrize("how", ("asyncio h11", "uvloop httptools"))
def test_reload_with_tls(how: str, tiny: Project, serve: Serve, files: tuple[str, ...], client: ssl.SSLContext) -> None:
    loop, http = how.split()
    # Its answers come over TLS, too, so nothing else asks for them.
    server: Server = serve(tiny, *files, "--loop", loop, "--http", http, "--timeout-graceful-shutdown", "60")
    assert server.reports(r"^serving tiny.main:app on https://127.0.0.1:[0-9]+ ")
    with (
        Connection(server.port, tls=client) as kept,
        Connection(server.port, tls=client) as busy,
        Connection(server.port, tls=client) as silent,
        socket.create_connection(("127.0.0.1", server.port)) as without_tls,
    ):
        without_tls.sendall(request("/"))
        with suppress(ConnectionResetError):
            while without_tls.recv(100):
                pass
        assert kept.get().text == "0"
        busy.send(request("/wait"))
        server.until("the request is under way", lambda: tiny.exists("begun"))
        tiny.replace("version.py", "0", "1")
        # Told to close, not cut off.
        assert kept.rest() == b""
        with Connection(server.port, tls=client) as new:
            assert new.get().text == "1"
            tiny.touch("go")
            assert busy.answer().text == "0"
            assert busy.rest() == b""
            # It was open before the save, and nobody else can answer it.
            assert silent.get().text == "0"
            assert silent.rest() == b""
            assert new.get().text == "1"
    server.until_reloads(1)
    assert "Traceback" not in server.log
