"""What a deployment or a drained node does to the pods costs no request, and no write.

It is done to the production images and to a running `make up` in turn, while both have their requests; and to the
former alone, while an endless loop keeps one core busy.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.drills.deployment import TAGS, Deployment
from tests.drills.prober import Record
from tests.drills.traffic import Traffic
from tests.drills.verdict import give
from tests.steady import busy_cores

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

# At the least, and as many again on a busy machine.
REQUESTS = 5_000
RATE = 50  # a second
# Before the first fault and after the last.
UNDISTURBED = 2 * RATE


def restart_backend(deployed: Deployment) -> None:
    deployed.roll_out("deployment/backend")


def restart_frontend(deployed: Deployment) -> None:
    deployed.roll_out("deployment/frontend")


def restart_both(deployed: Deployment) -> None:
    deployed.roll_out("deployment/backend", "deployment/frontend")


def set_image(deployed: Deployment) -> None:
    (backend,) = deployed.get("deployments", "--selector", "app.kubernetes.io/component=backend")
    image = backend["spec"]["template"]["spec"]["containers"][0]["image"]
    other = TAGS[1] if image.endswith(f":{TAGS[0]}") else TAGS[0]
    deployed.kubectl("set", "image", "deployment/backend", f"backend={deployed.image(other)}")
    deployed.await_rollout("deployment/backend")


def scale(deployed: Deployment) -> None:
    for replicas in (4, 2):
        deployed.kubectl("scale", "deployment/backend", f"--replicas={replicas}")
        deployed.await_rollout("deployment/backend")


def delete_a_pod(deployed: Deployment) -> None:
    deployed.kubectl("delete", "pod", deployed.pods("backend")[0])
    deployed.await_rollout("deployment/backend")


def evict(deployed: Deployment) -> None:
    """As the drain of a node does it, one pod after the other; the disruption budget makes the second wait."""
    for pod in deployed.pods("backend"):
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": deployed.namespace},
        }
        path = f"/api/v1/namespaces/{deployed.namespace}/pods/{pod}/eviction"

        def is_evicted(path: str = path, eviction: object = eviction) -> bool:
            try:
                deployed.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
            except ConnectionError as refusal:
                if "disruption budget" not in str(refusal):
                    raise
                return False
            return True

        deployed.until("the disruption budget lets the pod go", is_evicted)
    deployed.await_rollout("deployment/backend")


def kill_backend(deployed: Deployment) -> None:
    before = deployed.restarts("backend")
    # The one that was not killed last: after several times its restart is held back.
    pod = min(before, key=before.__getitem__)
    deployed.kill(pod)
    deployed.until("the container is started again", lambda: deployed.restarts("backend")[pod] > before[pod])
    deployed.await_rollout("deployment/backend")


def out_of_memory(deployed: Deployment) -> None:
    """The next version needs more memory than it may have: it is killed at each start, and the old one serves on."""
    little = "memory=24Mi"
    deployed.kubectl("set", "resources", "deployment/backend", f"--limits={little}", f"--requests={little}")
    deployed.until("a pod was killed for its memory", lambda: "OOMKilled" in deployed.ends("backend"))
    deployed.kubectl("rollout", "undo", "deployment/backend")
    deployed.await_rollout("deployment/backend")


@dataclass(frozen=True)
class Drill:
    """A fault, and where it is tried."""

    fault: Callable[[Deployment], None]
    title: str
    deployed: tuple[str, ...] = ("ci", "dev")


DRILLS = (
    Drill(restart_backend, "rollout of the backend"),
    Drill(restart_frontend, "rollout of the frontend"),
    Drill(restart_both, "rollout of both"),
    Drill(scale, "backend from 2 to 4 and back"),
    Drill(delete_a_pod, "a pod of the backend deleted"),
    Drill(evict, "both pods of the backend evicted", ("ci",)),
    Drill(kill_backend, "a pod's server killed with -9", ("ci",)),
    Drill(set_image, "another image of the backend", ("ci",)),
    Drill(out_of_memory, "a version of the backend that runs out of memory", ("ci",)),
)


def was_cut_off(record: Record, deployed: Deployment) -> bool:
    """Tell whether a process was killed while the request was under way."""
    return any(record.due <= dead and record.ended >= began for began, dead in deployed.deaths)


@pytest.mark.parametrize("is_busy", (False, True), ids=("quiet", "busy"))
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.fault.__name__)
def test_no_request_fails(drill: Drill, is_busy: bool, request: pytest.FixtureRequest) -> None:
    names = ("ci",) if is_busy else drill.deployed
    deployments: dict[str, Deployment] = {name: request.getfixturevalue(name) for name in names}
    for deployed in deployments.values():
        deployed.await_rollout()
    with ExitStack() as stack:
        if is_busy:
            stack.enter_context(busy_cores(1))
        traffic = {
            name: stack.enter_context(deployed.traffic("--rate", str(RATE))) for name, deployed in deployments.items()
        }
        await_requests(traffic, UNDISTURBED)
        while any(len(each.records()) < REQUESTS - UNDISTURBED for each in traffic.values()):
            for deployed in deployments.values():
                drill.fault(deployed)
        await_requests(traffic, UNDISTURBED)
    figures = {name: deployed.figures(traffic[name]) for name, deployed in deployments.items()}
    for name, found in figures.items():
        load = f"{RATE} a second" + ", a core busy" * is_busy
        give(f"{drill.fault.__name__}{'-busy' * is_busy}-{name}", drill.title, load, found)
    for name, deployed in deployments.items():
        assert figures[name].requests >= REQUESTS
        assert figures[name].lost == [], figures
        # What was being worked on when the process was killed is lost with it; nothing that came after.
        unexplained = [one for one in traffic[name].records() if one.error and not was_cut_off(one, deployed)]
        assert unexplained == [], figures


def await_requests(traffic: Mapping[str, Traffic], requests: int) -> None:
    """Return when so many more requests than now have ended everywhere."""
    for each in traffic.values():
        each.wait_for(requests)
