"""`make up` again goes on where the last one ended."""

import pytest

from tests.live_update.application import create_todo, pods, request, take_todo
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

COMPONENTS = ("backend", "frontend", "postgres")


def test_restart_without_edits_changes_nothing(loop: Loop) -> None:
    before = {component: pods(component) for component in COMPONENTS}
    number = create_todo("from before the restart")
    loop.stop()
    assert request("GET", "/api/todos/").status == 200
    loop.start()
    assert {component: pods(component) for component in COMPONENTS} == before
    assert take_todo(number) == "from before the restart"


def test_files_saved_while_it_was_away_are_served(loop: Loop, edits: Edits) -> None:
    loop.stop()
    edits.replace("backend/app/main.py", 'title="Todo API"', 'title="Saved while away"')
    edits.append("frontend/style.css", "/* saved while away */\n")
    # Waits until every replica serves the checkout's files.
    loop.start()


def test_files_taken_back_while_it_was_away_are_served(loop: Loop, edits: Edits) -> None:
    # Started anew, the pods' images hold the files as they are now; the save below is only in the pods.
    loop.stop()
    loop.start()
    edits.replace("backend/app/main.py", 'title="Todo API"', 'title="Taken back while away"')
    edits.append("frontend/style.css", "/* taken back while away */\n")
    loop.until("the save is served", loop.is_settled)
    loop.stop()
    edits.restore()
    # Waits until every replica serves the checkout's files.
    loop.start()
