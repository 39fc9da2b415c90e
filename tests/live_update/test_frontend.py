"""A saved file of the page is served by every replica, without a build and without a restart."""

from functools import partial

import pytest

from tests.live_update.application import REPLICAS, answers
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

COMMENTS = {"index.html": "<!-- saved -->\n", "style.css": "/* saved */\n", "app.js": "// saved\n"}


def test_changed_files_reach_every_replica(loop: Loop, edits: Edits) -> None:
    for name, comment in COMMENTS.items():
        with loop.live_update("frontend"):
            text = edits.append(f"frontend/{name}", comment)
            loop.until(f"every replica serves the new {name}", partial(is_served, name, text))


def is_served(name: str, text: str) -> bool:
    return answers("frontend", name) == [text] * REPLICAS


def test_new_and_deleted_files_reach_every_replica(loop: Loop, edits: Edits) -> None:
    with loop.live_update("frontend"):
        edits.write("frontend/live-update.css", "/* new */\n")
        loop.until(
            "every replica serves the new file",
            lambda: answers("frontend", "live-update.css") == ["/* new */\n"] * REPLICAS,
        )
    with loop.live_update("frontend"):
        edits.remove("frontend/live-update.css")
        loop.until(
            "no replica serves the deleted file", lambda: answers("frontend", "live-update.css") == [None] * REPLICAS
        )
