"""A real warmfork in the place of a pod."""

import http.client
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from fastlane.tests.cluster import PATIENCE, Cluster, until
from fastlane.tests.program import PYTHON_PATH
from tests.ports import reserved_port

APPLICATION = """\
from app.version import VERSION


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for part in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{part}.complete"})
    else:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": str(VERSION).encode()})
"""


class Replica:
    """A warmfork that serves its own copy of the application."""

    def __init__(self, name: str, root: Path, cluster: Cluster) -> None:
        self.name = name
        self.package = root / "app" / "app"
        self.package.mkdir(parents=True, exist_ok=True)
        (self.package / "main.py").write_text(APPLICATION)
        (self.package / "version.py").write_text("VERSION = 1\n")
        (cluster.folder / f"{name}.root").write_text(str(root))
        self._reservation = ExitStack()
        self._port = self._reservation.enter_context(reserved_port())
        options = ["--port", str(self._port), "--reload-dir", "app", "--control", str(cluster.folder / name)]
        self._log = root / "log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "warmfork", "app.main:app", "--host", "127.0.0.1", *options],
                cwd=self.package.parent,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.serves("1"), "the first version is served", self._log)

    def serves(self, version: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode() == version
        except OSError:
            return False
        finally:
            connection.close()

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        self._reservation.close()
