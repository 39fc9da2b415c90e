"""Every replica of the named workloads is rolled out, with as many ready endpoints behind each Service; none crashes.

It starts with the first builds: a container that crashes again and again ends `tilt ci` at once, and not only when its
time to become ready is over. usage: python3 -m tests.e2e.rollout NAMESPACE WORKLOAD...
"""

import sys
import time
from typing import Any

from tests.e2e.kubectl import fail, get

# All builds and pulls fall into it. A workload that is deployed and does not become ready ends `tilt ci` sooner.
LIMIT_SECONDS = 540
# A start that fails once may have met a machine that was busy.
CRASHES = 2

Object = dict[str, Any]


def main(namespace: str, *names: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        objects = get(namespace, "deployments,statefulsets,pods,services,endpointslices")
        if crashes := crashing(objects):
            fail("; ".join(crashes))
        missing = [*unfinished(objects, names), *services_without_endpoints(objects)]
        if not missing:
            break
        if time.monotonic() > deadline:
            fail("; ".join(missing))
        time.sleep(1)
    print(f"all replicas of {', '.join(names)} are rolled out, and every Service has its ready endpoints")


def workloads(objects: list[Object]) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in {"Deployment", "StatefulSet"}}


def unfinished(objects: list[Object], names: tuple[str, ...]) -> list[str]:
    """One line for each named workload that is not there, or whose newest template not all replicas have."""
    found = workloads(objects)
    lines = [f"{name}: not deployed" for name in names if name not in found]
    for name, workload in found.items():
        status, wanted = workload["status"], workload["spec"]["replicas"]
        current = status.get("observedGeneration") == workload["metadata"]["generation"]
        numbers = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        if not current or numbers != [wanted] * 3:
            lines.append(f"{name}: {numbers[2]} of {wanted} replicas are available")
    return lines


def crashing(objects: list[Object]) -> list[str]:
    """One line for each container that has crashed more often than a slow machine explains."""
    return [
        f"{one['metadata']['name']}: container {status['name']} crashed {status['restartCount']} times"
        for one in objects
        if one["kind"] == "Pod"
        for status in one["status"].get("containerStatuses", [])
        if status["restartCount"] >= CRASHES
    ]


def services_without_endpoints(objects: list[Object]) -> list[str]:
    """One line for each Service with fewer ready endpoints than its workload has replicas."""
    wanted = {name: workload["spec"]["replicas"] for name, workload in workloads(objects).items()}
    ready: dict[str, int] = {}
    for piece in objects:
        if piece["kind"] != "EndpointSlice":
            continue
        service = piece["metadata"]["labels"]["kubernetes.io/service-name"]
        conditions = [endpoint["conditions"] for endpoint in piece["endpoints"] or []]
        ready[service] = ready.get(service, 0) + sum(bool(condition.get("ready")) for condition in conditions)
    return [
        f"Service {name}: {ready.get(name, 0)} of {wanted[name]} endpoints are ready"
        for name in (one["metadata"]["name"] for one in objects if one["kind"] == "Service")
        # A workload that is not there yet is named by unfinished().
        if ready.get(name, 0) < wanted.get(name, 0)
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
