"""A saved manifest is applied and rolled out."""

import pytest

from tests.live_update import application
from tests.live_update.application import REPLICAS, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DEPLOYMENT = "k8s/base/backend/deployment.yaml"
LABELS = "    metadata:\n      labels:\n"


def test_added_replicas_take_part_and_a_new_label_is_rolled_out(loop: Loop, edits: Edits) -> None:
    def is_rolled_out(replicas: int) -> bool:
        found = pods("backend")
        return len(found) == replicas and all(pod.ready for pod in found) and application.is_rolled_out()

    before = pods("backend")
    edits.replace(DEPLOYMENT, "replicas: 2", "replicas: 3")
    loop.until("there are three replicas", lambda: is_rolled_out(3), BUILD)
    three = pods("backend")
    assert set(before) < set(three)
    with loop.live_update("backend"):
        edits.append("backend/app/version.py", "# saved\n")
        loop.until("all three serve the save", lambda: application.serves(loop.checkout, replicas=3))
    # Two again, of another template, in one save.
    manifest = (loop.checkout / DEPLOYMENT).read_text().replace("replicas: 3", "replicas: 2")
    assert manifest.count(LABELS) == 1
    with loop.build("backend"):
        edits.write(DEPLOYMENT, manifest.replace(LABELS, f"{LABELS}        live-update: saved\n"))
    after = pods("backend")
    assert [pod.labels.get("live-update") for pod in after] == ["saved"] * REPLICAS
    assert not {pod.uid for pod in three} & {pod.uid for pod in after}
    with loop.build("backend"):
        edits.restore()
    assert [pod.labels.get("live-update") for pod in pods("backend")] == [None] * REPLICAS
