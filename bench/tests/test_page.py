"""The moment at which an open page shows a save, in a real browser, on a page that reloads itself."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import override

import pytest

from bench.lanes import PAGE_FILES
from bench.page import PageFile, open_page
from bench.saves import Mode
from devenv.failure import Failure

HTML = """<!doctype html>
<link rel="stylesheet" href="style.css">
<script src="reload.js" type="module"></script>
<script src="app.js" type="module"></script>
<h1>Todos</h1>
"""
# Over and over, but not before what has been loaded was on the screen.
RELOAD = """
addEventListener("load", () =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => location.reload(), 50))),
);
"""
# As strict as the application's own.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


class _Handler(SimpleHTTPRequestHandler):
    @override
    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        # A page that is half written does not load itself again.
        while not (content := Path(self.directory, "index.html").read_bytes()).endswith(b"</h1>\n"):
            time.sleep(0.001)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    for name, text in {"index.html": HTML, "style.css": "", "app.js": "", "reload.js": RELOAD}.items():
        (tmp_path / name).write_text(text)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.browser
def test_tells_when_a_save_is_visible(site: tuple[Path, str]) -> None:
    folder, url = site
    files = [PageFile(folder, name) for name in PAGE_FILES]
    with open_page(url) as page:
        for number, (file, mode) in enumerate([(file, mode) for file in files for mode in Mode], 1):
            latency = page.shows(file.kind, file.edit(number), mode, 30)
            assert latency is not None
            assert latency > 0
        assert page.shows("css", files[0].edit(7), Mode.ATOMIC, 1) is None


def test_a_page_that_has_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Other</h1>")
    with pytest.raises(Failure, match="is not in it"):
        PageFile(tmp_path, "index.html")
