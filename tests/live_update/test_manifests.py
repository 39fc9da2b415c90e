"""A saved manifest is applied and rolled out."""

import pytest

from tests.live_update import application
from tests.live_update.application import REPLICAS, pods
from tests.live_update.checkout import Edits
from tests.live_update.loop import BUILD, Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DEPLOYMENT = "k8s/base/backend/deployment.yaml"
LABELS = "    metadata:\n      labels:\n"


def test_new_label_is_rolled_out(loop: Loop, edits: Edits) -> None:
    before = {pod.uid for pod in pods("backend")}
    with loop.build("backend"):
        edits.replace(DEPLOYMENT, LABELS, f"{LABELS}        live-update: saved\n")
    after = pods("backend")
    assert [pod.labels.get("live-update") for pod in after] == ["saved"] * REPLICAS
    assert not before & {pod.uid for pod in after}
    with loop.build("backend"):
        edits.restore()
    assert [pod.labels.get("live-update") for pod in pods("backend")] == [None] * REPLICAS


def test_added_replicas_take_part(loop: Loop, edits: Edits) -> None:
    def is_rolled_out(replicas: int) -> bool:
        found = pods("backend")
        return len(found) == replicas and all(pod.ready for pod in found) and application.is_rolled_out()

    before = pods("backend")
    edits.replace(DEPLOYMENT, "replicas: 2", "replicas: 3")
    loop.until("there are three replicas", lambda: is_rolled_out(3), BUILD)
    assert set(before) < set(pods("backend"))
    with loop.live_update("backend"):
        edits.append("backend/app/version.py", "# saved\n")
        loop.until("all three serve the save", lambda: application.serves(loop.checkout, replicas=3))
    edits.restore()
    loop.until("there are two replicas again", lambda: is_rolled_out(2), BUILD)
