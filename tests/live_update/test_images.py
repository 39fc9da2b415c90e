"""Which saves build an image: those of files that only an image can carry, and no others."""

import pytest

from tests.live_update import application, migration
from tests.live_update.application import REPLICAS, answers, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def images(component: str) -> set[tuple[str, ...]]:
    return {pod.images for pod in pods(component)}


def test_changed_requirements_and_server_configuration_build_images_anew(loop: Loop, edits: Edits) -> None:
    before = images("backend")
    with loop.build("backend", "migrate", "frontend"):
        edits.append("backend/requirements.txt", "# saved\n")
        edits.replace("frontend/nginx.conf", r'return 200 "ok\n"', r'return 200 "saved\n"')
    assert not images("backend") & before
    assert answers("frontend", "healthz") == ["saved\n"] * REPLICAS
    with loop.build("backend", "migrate", "frontend"):
        edits.restore()
    assert not images("backend") - before
    assert answers("frontend", "healthz") == ["ok\n"] * REPLICAS


def test_server_configuration_that_is_saved_while_the_image_before_it_starts_is_built_as_well(
    loop: Loop, edits: Edits
) -> None:
    before = images("frontend")
    edits.replace("frontend/nginx.conf", r'return 200 "ok\n"', r'return 200 "first\n"')
    loop.until("a pod of the new image is there", lambda: images("frontend") - before - {()}, BUILD)
    edits.replace("frontend/nginx.conf", r'return 200 "first\n"', r'return 200 "second\n"')
    loop.until("all serve it", lambda: answers("frontend", "healthz") == ["second\n"] * REPLICAS, BUILD)


def test_files_that_are_in_no_image_build_nothing(loop: Loop, edits: Edits) -> None:
    builds = loop.builds()
    all_pods = [pods("backend"), pods("frontend"), pods("postgres")]
    edits.write("README.md", "saved\n")
    edits.append("tests/e2e/kubectl.py", "# saved\n")
    edits.append("backend/tests/conftest.py", "# saved\n")
    edits.append("frontend/tests/conftest.py", "# saved\n")
    # Tilt works through saves in order: when these later ones are served, the earlier ones have had their effect.
    text = edits.append("frontend/style.css", "/* saved */\n")
    edits.append("backend/app/version.py", "# saved\n")
    loop.until("the later saves are served", lambda: application.serves(loop.checkout))
    assert answers("frontend", "style.css") == [text] * REPLICAS
    assert loop.builds() - builds == set()
    assert [pods("backend"), pods("frontend"), pods("postgres")] == all_pods


def test_new_migration_is_applied_while_the_replicas_stay_ready(loop: Loop, edits: Edits) -> None:
    def ready() -> list[tuple[str, str, bool]]:
        return [(pod.uid, pod.since, pod.ready) for pod in pods("backend")]

    # Each looks at its own migrations when it is first asked, and goes by them from then on.
    loop.until("every replica has looked at its migrations", lambda: None not in answers("backend", "readyz"))
    before = ready()
    try:
        with loop.build("migrate"):
            edits.write(migration.FILE, migration.TEXT)
        # Between the Job of before and the new one, Tilt takes the end of that for the end of this.
        loop.until("the migration has run", lambda: migration.revision() == migration.REVISION)
        assert ready() == before
    finally:
        migration.take_back()
    with loop.build("migrate"):
        edits.restore()
