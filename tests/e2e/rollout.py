"""Every replica of every workload is rolled out, and every Service has a ready endpoint for each of them.

usage: python3 -m tests.e2e.rollout NAMESPACE
"""

import sys
import time
from typing import Any

from tests.e2e.kubectl import fail, get, kubectl

# Less than the time that `tilt ci` gives a resource, so that this check's own words are the ones people read.
LIMIT_SECONDS = 80


def main(namespace: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    for kind in ("deployment", "statefulset"):
        for workload in get(namespace, kind):
            await_rollout(namespace, kind, workload, deadline)
    while missing := services_without_endpoints(namespace):
        if time.monotonic() > deadline:
            fail("; ".join(missing))
        time.sleep(0.5)
    print("every Service has its ready endpoints")


def await_rollout(namespace: str, kind: str, workload: dict[str, Any], deadline: float) -> None:
    name = workload["metadata"]["name"]
    left = max(1, round(deadline - time.monotonic()))
    command = ["--namespace", namespace, "rollout", "status", f"{kind}/{name}", f"--timeout={left}s"]
    result = kubectl(*command, timeout=left + 10)
    if result.returncode:
        fail(f"{kind} {name}: {(result.stderr or result.stdout).strip().splitlines()[-1]}{reasons(namespace, name)}")
    print(f"{kind} {name}: {workload['spec']['replicas']} rolled out")


def reasons(namespace: str, component: str) -> str:
    """Why its pods are not ready, in the kubelet's words."""
    found = []
    for pod in get(namespace, "pod", "--selector", f"app.kubernetes.io/component={component}"):
        for status in pod["status"].get("containerStatuses", []):
            if status["ready"]:
                continue
            state: dict[str, str] = next(iter(status["state"].values()), {})
            found.append(f"{pod['metadata']['name']}: {state.get('reason', 'running, but its readiness probe fails')}")
    return " (" + "; ".join(found) + ")" if found else ""


def services_without_endpoints(namespace: str) -> list[str]:
    """One line for each Service with fewer ready endpoints than its workload has replicas."""
    wanted = {
        workload["metadata"]["name"]: workload["spec"]["replicas"]
        for kind in ("deployment", "statefulset")
        for workload in get(namespace, kind)
    }
    ready: dict[str, int] = {}
    for piece in get(namespace, "endpointslice"):
        service = piece["metadata"]["labels"]["kubernetes.io/service-name"]
        conditions = [endpoint["conditions"] for endpoint in piece["endpoints"] or []]
        ready[service] = ready.get(service, 0) + sum(bool(condition.get("ready")) for condition in conditions)
    return [
        f"Service {name}: {ready.get(name, 0)} of {wanted[name]} endpoints are ready"
        for name in (service["metadata"]["name"] for service in get(namespace, "service"))
        if ready.get(name, 0) < wanted[name]
    ]


if __name__ == "__main__":
    main(sys.argv[1])
