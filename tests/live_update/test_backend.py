"""A saved file of the backend is served by every replica, without a build and without a restart."""

import json

import pytest

from tests.e2e.kubectl import kubectl
from tests.live_update import application
from tests.live_update.application import NAMESPACE, REPLICAS, answers, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MAIN = "backend/app/main.py"
TITLE = 'title="Todo API"'
INCLUDE = "    app.include_router(probes.router)\n"
ROUTER = """from fastapi import APIRouter

router = APIRouter()


@router.get("/live-update")
async def live_update() -> str:
    return "from a new module"
"""


def titles() -> list[str | None]:
    """Return the title in each replica's API description."""
    return [json.loads(answer)["info"]["title"] if answer else None for answer in answers("backend", "openapi.json")]


def test_changed_string_reaches_every_replica(loop: Loop, edits: Edits) -> None:
    with loop.live_update("backend"):
        edits.replace(MAIN, TITLE, 'title="Saved"')
        loop.until("every replica serves the new title", lambda: titles() == ["Saved"] * REPLICAS)


def test_save_by_renaming_a_draft_is_one_copy(loop: Loop, edits: Edits) -> None:
    before = loop.log("backend")
    saved = edits.keep(MAIN)
    draft = saved.with_name(f".{saved.name}.draft")
    with loop.live_update("backend"):
        draft.write_text(saved.read_text().replace(TITLE, 'title="Renamed"'))
        draft.rename(saved)
        loop.until("every replica serves the new title", lambda: titles() == ["Renamed"] * REPLICAS)
    said = loop.log("backend")[len(before) :]
    assert "Will copy 1 file(s)" in said
    assert "Will delete" not in said


def test_new_renamed_and_deleted_modules_reach_every_replica(loop: Loop, edits: Edits) -> None:
    def serve(module: str) -> None:
        added = f"    from app.routers import {module}\n    app.include_router({module}.router)\n"
        edits.replace(MAIN, INCLUDE, INCLUDE + added)

    def is_served() -> bool:
        served = application.serves(loop.checkout)
        return served and answers("backend", "live-update") == ['"from a new module"'] * REPLICAS

    before = (loop.checkout / MAIN).read_text()
    with loop.live_update("backend"):
        edits.write("backend/app/routers/first_name.py", ROUTER)
        serve("first_name")
        loop.until("every replica serves the new module", is_served)
    with loop.live_update("backend"):
        edits.rename("backend/app/routers/first_name.py", "backend/app/routers/second_name.py")
        edits.write(MAIN, before)
        serve("second_name")
        loop.until("every replica serves the renamed module", is_served)
        assert all(not has_file(pod.name, "first_name.py") for pod in pods("backend"))
    with loop.live_update("backend"):
        edits.write(MAIN, before)
        edits.remove("backend/app/routers/second_name.py")
        loop.until("every replica serves the files that are left", lambda: application.serves(loop.checkout))
        assert answers("backend", "live-update") == [None] * REPLICAS
        assert all(not has_file(pod.name, "second_name.py") for pod in pods("backend"))


def test_syntax_error_kills_nothing_and_its_repair_is_served(loop: Loop, edits: Edits) -> None:
    before = (loop.checkout / MAIN).read_text()
    with loop.live_update("backend"):
        broken = edits.append(MAIN, "\nthis is no Python\n")
        loop.until("every replica has the broken file", lambda: files(MAIN) == [broken] * REPLICAS)
    with loop.live_update("backend"):
        edits.write(MAIN, before.replace(TITLE, 'title="Repaired"'))
        loop.until("every replica serves the repaired file", lambda: titles() == ["Repaired"] * REPLICAS)


def test_restarted_container_gets_the_saved_files_again(loop: Loop, edits: Edits) -> None:
    edits.replace(MAIN, TITLE, 'title="Before the restart"')
    loop.until("every replica serves the new title", lambda: titles() == ["Before the restart"] * REPLICAS)
    victim, *_ = pods("backend")
    builds = loop.builds()
    assert kubectl("--namespace", NAMESPACE, "exec", victim.name, "--", "bash", "-c", "kill 1").returncode == 0

    def is_back() -> bool:
        (now,) = [pod for pod in pods("backend") if pod.name == victim.name]
        return now.restarts == victim.restarts + 1 and titles() == ["Before the restart"] * REPLICAS

    loop.until("the restarted container serves the new title", is_back)
    assert loop.builds() <= builds


def test_replaced_pod_gets_the_saved_files(loop: Loop, edits: Edits) -> None:
    edits.replace(MAIN, TITLE, 'title="Before the deletion"')
    loop.until("every replica serves the new title", lambda: titles() == ["Before the deletion"] * REPLICAS)
    victim, *_ = pods("backend")
    builds = loop.builds()
    assert kubectl("--namespace", NAMESPACE, "delete", "pod", victim.name, "--wait=false").returncode == 0

    def is_replaced() -> bool:
        names = [pod.name for pod in pods("backend")]
        return victim.name not in names and titles() == ["Before the deletion"] * REPLICAS

    loop.until("the new pod serves the new title", is_replaced, 120)
    assert loop.builds() <= builds


def files(name: str) -> list[str]:
    """Return the file as each backend pod has it."""
    path = f"/app/{name.removeprefix('backend/')}"
    return [kubectl("--namespace", NAMESPACE, "exec", pod.name, "--", "cat", path).stdout for pod in pods("backend")]


def has_file(pod: str, router: str) -> bool:
    listing = kubectl("--namespace", NAMESPACE, "exec", pod, "--", "ls", "/app/app/routers")
    assert listing.returncode == 0, listing.stderr
    return router in listing.stdout.split()
