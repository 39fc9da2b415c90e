"""The release hosts: files by host and path, with the redirects of the real ones, over TLS.

usage: python3 -m tests.release.releases ADDRESS FOLDER CERTIFICATE, where the folder has one folder for each host
"""

import ssl
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.release.names import HTTPS

# kind's own address leads to its release on GitHub, and that to where GitHub keeps files.
KIND = "https://github.com/kubernetes-sigs/kind/releases/download"
ASSETS = "https://release-assets.githubusercontent.com"


class Request(SimpleHTTPRequestHandler):
    root: Path

    def send_head(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as the base class has it
        if target := self.redirect():
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return super().send_head()

    def redirect(self) -> str:
        host = self.headers["Host"]
        if host == "kind.sigs.k8s.io":
            return f"{KIND}/{self.path.removeprefix('/dl/')}"
        return f"{ASSETS}{self.path}" if host == "github.com" else ""

    def translate_path(self, path: str) -> str:
        return str(self.root / self.headers["Host"] / path.partition("?")[0].lstrip("/"))


def main(address: str, folder: str, certificate: str) -> None:
    Request.root = Path(folder)
    server = ThreadingHTTPServer((address, HTTPS), Request)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:4])
