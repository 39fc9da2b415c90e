"""The cluster enforces the policies: the backend reaches the database, the frontend does not.

A policy that nobody enforces looks exactly like one that holds, so a denied path is tried for real, by the same
probe that succeeds where the path is allowed. usage: python3 -m tests.e2e.network_policy NAMESPACE
"""

import sys

from tests.e2e.kubectl import fail, get, kubectl

PORT = 5432
# bash opens TCP connections itself, and both images have it.
PROBE_SECONDS = 3


def main(namespace: str) -> None:
    (postgres,) = get(namespace, "pod", "--selector", "app.kubernetes.io/component=postgres")
    address = postgres["status"]["podIP"]
    if (code := probe(namespace, "backend", address)) != 0:
        fail(f"the backend cannot reach the database at {address}:{PORT}, which its NetworkPolicy allows (exit {code})")
    if probe(namespace, "frontend", address) == 0:
        fail(f"a frontend pod reached the database at {address}:{PORT}, which no NetworkPolicy allows")
    print(f"{address}:{PORT} answers the backend and not the frontend")


def probe(namespace: str, component: str, address: str) -> int:
    """The exit code of one connection attempt from inside a pod of the component."""
    (name, *_) = [
        pod["metadata"]["name"]
        for pod in get(namespace, "pod", "--selector", f"app.kubernetes.io/component={component}")
        if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
    ]
    return connect(namespace, name, address, PORT)


def connect(namespace: str, name: str, address: str, port: int) -> int:
    """The exit code of one connection attempt from inside a pod."""
    command = ["timeout", str(PROBE_SECONDS), "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    result = kubectl("--namespace", namespace, "exec", name, "--", *command, timeout=30)
    if result.returncode and "command terminated with exit code" not in result.stderr:
        # The probe itself did not run, which must not pass for a closed path.
        fail(f"kubectl exec in {name}: {result.stderr.strip()}")
    return result.returncode


if __name__ == "__main__":
    main(sys.argv[1])
