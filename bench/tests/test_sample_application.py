"""The sample application has as many routes as asked for, and shows each edit."""

import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path

from bench.sample_application import EDITED, SampleApplication
from bench.saves import Mode
from bench.servers import read_version

LOOK = """
import json
from fastapi.testclient import TestClient
from app.main import app

with TestClient(app) as client:
    item = client.post("/items/", json={"title": "Milk"}).json()
    answers = [client.get(path).status_code for path in ("/healthz", f"/items/{item['id']}", "/owners/1")]
    paths = client.get("/openapi.json").json()["paths"]
    print(json.dumps([sum(map(len, paths.values())), answers, client.get("/version").text]))
"""


def look(application: SampleApplication) -> tuple[int, list[int], str]:
    """Return how many routes it has, some statuses, and the version that it shows."""
    # The test client's warning about httpx concerns nobody here.
    command = [sys.executable, "-W", "ignore", "-c", LOOK]
    output = subprocess.run(command, cwd=application.folder, capture_output=True, text=True, check=True).stdout
    routes, statuses, version = json.loads(output)
    return routes, statuses, read_version(version.encode())


def test_has_the_routes_and_shows_every_edit(tmp_path: Path) -> None:
    # Its own ten, and two more routers.
    routes = 20
    application = SampleApplication(tmp_path / "application", routes)
    versions = {application.version}
    for name, mode in zip(EDITED, cycle(Mode), strict=False):
        edit = application.edit(name)
        size = edit.path.stat().st_size
        edit.save(mode)
        assert edit.path.stat().st_size == size
        versions.add(edit.version)
    assert len(versions) == 1 + len(EDITED)
    assert look(application) == (routes, [200, 200, 404], application.version)
