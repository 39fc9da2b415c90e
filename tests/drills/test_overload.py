"""More requests than can be served: the rest is refused at once, nothing falls over, and it is over when they are."""

import time

import pytest

from tests.drills.deployment import Deployment
from tests.drills.traffic import Figures
from tests.drills.verdict import give

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LIMIT = 256 * 2**20  # bytes, as in k8s/base/backend/deployment.yaml
# Of a processor, for each backend: so that this machine can send far more than they can serve.
SHARE = "150m"
UNLIMITED = '[{"op": "remove", "path": "/spec/template/spec/containers/0/resources/limits/cpu"}]'
# Requests a second, more than they serve. Reads: of writes nginx lets fewer pass.
BEYOND = 150
TIMES = 4
SECONDS = 20
USUAL = 50  # a second
LATE = 0.1  # seconds


@pytest.mark.parametrize("deployed", ("ci",), indirect=True)
def test_overload_is_shed_and_passes(deployed: Deployment, request: pytest.FixtureRequest) -> None:
    deployed.kubectl("set", "resources", "deployment/backend", f"--limits=cpu={SHARE}")
    request.addfinalizer(lambda: deployed.kubectl("patch", "deployment/backend", "--type=json", f"--patch={UNLIMITED}"))
    deployed.await_rollout("deployment/backend")
    pods, restarts = readiness(deployed), deployed.restarts("backend")
    served = capacity(deployed)
    with deployed.traffic("--read-only", "--rate", str(TIMES * served), "--seconds", str(SECONDS)) as traffic:
        traffic.wait_for(TIMES * served * SECONDS // 2)
    over = time.time()
    overload = traffic.records()
    with deployed.traffic("--rate", str(USUAL)) as traffic:
        traffic.wait_for(5 * USUAL)
    late = [record.ended for record in traffic.records() if record.error]
    figures = Figures.of(overload, [])
    give(
        request.node.callspec.id,
        f"{TIMES} times what it can serve",
        f"{TIMES * served} a second",
        figures,
        max(late, default=over) - over,
    )
    # Or it is the prober that has too much to do.
    assert figures.late < LATE, figures
    assert {record.status for record in overload if record.error} == {503}, figures
    assert [record for record in overload if record.error and not record.retry_after] == []
    assert len(overload) - figures.failed > served * SECONDS / 2
    assert readiness(deployed) == pods
    assert deployed.restarts("backend") == restarts
    assert max(deployed.memory_peak(pod) for pod in deployed.pods("backend")) < LIMIT


def capacity(deployed: Deployment) -> int:
    """Return how many requests a second are served when far more are sent."""
    with deployed.traffic("--read-only", "--rate", str(BEYOND), "--seconds", "10") as traffic:
        traffic.wait_for(BEYOND * 5)
    served = [record for record in traffic.records() if not record.error]
    return round(len(served) / (served[-1].ended - served[0].due))


def readiness(deployed: Deployment) -> dict[str, tuple[str, str]]:
    """Return of each backend pod whether it is ready, and since when it has been so or not."""
    pods = deployed.get("pods", "--selector", "app.kubernetes.io/component=backend")
    conditions = {pod["metadata"]["name"]: pod["status"]["conditions"] for pod in pods}
    return {
        name: (condition["status"], condition["lastTransitionTime"])
        for name, found in conditions.items()
        for condition in found
        if condition["type"] == "Ready"
    }
