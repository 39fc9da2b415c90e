"""A company's proxy: it alone knows the stand-in internet's names.

usage: python3 -m tests.release.proxy
"""

import contextlib
import http.client
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.release.names import ADDRESSES, PROXY

PATIENCE = 60.0  # seconds


class Request(BaseHTTPRequestHandler):
    """One request: a tunnel, or a file without TLS, as apt asks for it."""

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        with self.connect(host, int(port)) as outside:
            self.send_response(200)
            self.end_headers()
            forward(self.connection, outside)

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        outside = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)
        with contextlib.closing(outside):
            outside.request("GET", address.path, headers={"Host": address.netloc})
            answer = outside.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def connect(self, host: str, port: int) -> socket.socket:
        return socket.create_connection((ADDRESSES.get(host, host), port), PATIENCE)


def forward(client: socket.socket, outside: socket.socket) -> None:
    """Pass on what each of the two sends, until one of them ends."""
    ends = {client: outside, outside: client}
    while True:
        readable, _, _ = select.select(list(ends), [], [], PATIENCE)
        for end in readable:
            data = end.recv(65536)
            if not data:
                return
            ends[end].sendall(data)
        if not readable:
            return


if __name__ == "__main__":
    ThreadingHTTPServer(PROXY, Request).serve_forever()
