"""What is measured in the cluster: ways for saves into the pods, numbers of replicas, and the page."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lane:
    """A way into the pods, and the arguments for the Tiltfile that choose it."""

    name: str
    arguments: Sequence[str]
    own: bool


LANES = {
    "fast": Lane("fast lane", (), own=True),
    "tilt": Lane("Tilt's lane", ("--fast-lane=false",), own=True),
    "uvicorn": Lane("uvicorn --reload", ("--fast-lane=false", "--reloader=uvicorn"), own=False),
}
REPLICAS = (1, 2, 4)
PAGE = "page"
PAGE_FILES = ("index.html", "style.css", "app.js")
# By name: lane and replicas. The page is measured as `make up` brings it.
PARTS = {f"{lane}-{replicas}": (lane, replicas) for replicas in REPLICAS for lane in LANES} | {PAGE: ("fast", 2)}
