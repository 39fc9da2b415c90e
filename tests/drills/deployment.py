"""The production images in a namespace of their own, as `make ci` has them, without Tilt that would mend the faults."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from devenv import paths
from tests.drills.traffic import PROBER, Figures, Row, Traffic
from tests.e2e.kubectl import CONTEXT, kubectl
from tests.live_update.application import psql
from tests.manifests.manifests import COMPONENT, Manifest, pods, render

NAMESPACE = "todo-drill"
FUZZ = Path(__file__).with_name("fuzz.py")
NODE = "todo-control-plane"
REGISTRY = "localhost:5005"
POSTGRES = f"{REGISTRY}/postgres:drill"
# Names of this run alone, for the node keeps an image that it has once pulled. The second is the same code in another
# image: what `kubectl set image` rolls out.
RUN = uuid4().hex[:8]
TAGS = (f"drill-{RUN}", f"drill-{RUN}-next")
WORKLOADS = ("deployment/backend", "deployment/frontend", "statefulset/postgres")
PROBER_LABELS = {COMPONENT: "smoke"}


class Deployment:
    """The application in one namespace, and what drills do to it and ask of it."""

    def __init__(self, namespace: str) -> None:
        """Name what is there."""
        self.namespace = namespace
        # Between when and when something was killed, in seconds of the wall clock.
        self.deaths: list[tuple[float, float]] = []

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """Run kubectl in the namespace and return what it prints. Raises ConnectionError with its own words."""
        result = kubectl("--namespace", self.namespace, *arguments, stdin=stdin, timeout=timeout)
        if result.returncode:
            raise ConnectionError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout.strip()

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """Return objects of the namespace."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "--output", "json"))["items"]
        return items

    def pods(self, component: str) -> list[str]:
        """Return the names of the component's pods that are not on their way out."""
        pods = self.get("pods", "--selector", f"{COMPONENT}={component}")
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def unready(self, component: str) -> list[str]:
        """Return the names of the component's pods that run and are not ready."""
        pods = self.get("pods", "--selector", f"{COMPONENT}={component}", "--field-selector=status.phase=Running")
        ready = {"type": "Ready", "status": "True"}
        return [
            pod["metadata"]["name"]
            for pod in pods
            if not any(ready.items() <= condition.items() for condition in pod["status"]["conditions"])
        ]

    @staticmethod
    def image(tag: str) -> str:
        """Return the backend's image of that tag."""
        return f"{REGISTRY}/todo-backend:{tag}"

    def restarts(self, component: str) -> dict[str, int]:
        """Return how often the containers of each of the component's pods were restarted."""
        pods = self.get("pods", "--selector", f"{COMPONENT}={component}")
        statuses = {pod["metadata"]["name"]: pod["status"].get("containerStatuses", []) for pod in pods}
        return {name: sum(status["restartCount"] for status in found) for name, found in statuses.items()}

    def ends(self, component: str) -> list[str]:
        """Return why the containers of the component's pods have ended, where they were started again."""
        pods = self.get("pods", "--selector", f"{COMPONENT}={component}")
        states = [status["lastState"] for pod in pods for status in pod["status"].get("containerStatuses", [])]
        return [state["terminated"]["reason"] for state in states if "terminated" in state]

    def memory_peak(self, pod: str) -> int:
        """Return the most memory that the pod's container has used, in bytes."""
        # The second is where hosts have cgroups of version 1.
        script = "cd /sys/fs/cgroup && cat memory.peak || cat memory/memory.max_usage_in_bytes"
        return int(self.kubectl("exec", pod, "--", "sh", "-c", script))

    def roll_out(self, *workloads: str) -> None:
        """Replace the pods of the workloads, and return when the last of the old ones is gone."""
        self.kubectl("rollout", "restart", *workloads)
        self.await_rollout(*workloads)

    def await_rollout(self, *workloads: str) -> None:
        """Return when the workloads have only pods of their newest template, and all of them."""
        for workload in workloads or WORKLOADS:
            self.kubectl("rollout", "status", workload, "--timeout=180s", timeout=200)
        self.until("no pod is on its way out", lambda: not self._leaving())

    def await_all(self) -> None:
        """Return when everything is as it was last applied, and the migrations have run."""
        self.await_rollout()
        self.kubectl("wait", "job/migrate", "--for=condition=Complete", "--timeout=120s", timeout=130)
        self.kubectl("wait", "pod/prober", "--for=condition=Ready", "--timeout=60s")

    def until(self, what: str, condition: Callable[[], object], seconds: float = 180) -> None:
        """Return when the condition holds. Raises AssertionError when it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not true within {seconds:g} s: {what}")
            time.sleep(0.2)

    def _leaving(self) -> str:
        return self.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.deletionTimestamp}")

    def psql(self, statement: str) -> str:
        """Run the statement as the database's superuser; return what it prints."""
        return psql(statement, self.namespace)

    def kill(self, pod: str) -> None:
        """Kill the pod's only container with SIGKILL, as the node itself does when memory runs out."""
        named = self.kubectl("get", "pod", pod, "--output", "jsonpath={.status.containerStatuses[0].containerID}")
        container = named.removeprefix("containerd://")
        began = time.time()
        _docker("exec", NODE, "crictl", "stop", "--timeout", "0", container)
        template = "{{.status.finishedAt}}"
        ended = _docker("exec", NODE, "crictl", "inspect", "--output", "go-template", "--template", template, container)
        self.deaths.append((began, datetime.fromisoformat(ended).timestamp()))

    @contextmanager
    def small_disk(self, size: str) -> Iterator[None]:
        """Give PostgreSQL an empty disk of that size, in memory, as long as the context lasts."""
        claim = self.kubectl("get", "pvc", "data-postgres-0", "--output", "jsonpath={.spec.volumeName}")
        folder = self.kubectl("get", "pv", claim, "--output", "jsonpath={.spec.hostPath.path}{.spec.local.path}")
        self._exchange_disk("mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder)
        try:
            yield
        finally:
            self._exchange_disk("umount", folder)

    def _exchange_disk(self, *command: str) -> None:
        """Run the command on the node while PostgreSQL is stopped; return when the application is there again."""
        self.kubectl("scale", "statefulset/postgres", "--replicas=0")
        self.kubectl("wait", "pod/postgres-0", "--for=delete", "--timeout=120s", timeout=130)
        _docker("exec", NODE, *command)
        self.kubectl("scale", "statefulset/postgres", "--replicas=1")
        apply(self)
        self.await_all()

    def psql_as_backend(self, statement: str) -> str:
        """Run the statement as the backend's role, over TCP and with its password; return what it prints."""
        script = (
            "PGPASSWORD=$(cat /run/secrets/todo/app_password) psql --host=127.0.0.1 --username=todo_app --dbname=todo"
            " --no-psqlrc --tuples-only --no-align --quiet --set=ON_ERROR_STOP=1"
        )
        return self.kubectl("exec", "--stdin", "postgres-0", "--", "sh", "-c", script, stdin=statement)

    def fuzz(self, inputs: int, seed: int) -> dict[str, Any]:
        """Send requests that nobody means through the front door; return their statuses, and what was wrong."""
        options = ["--url", "http://frontend:8080", "--inputs", str(inputs), "--seed", str(seed)]
        said = self.kubectl("exec", "prober", "--", "python", f"/prober/{FUZZ.name}", *options, timeout=900)
        found: dict[str, Any] = json.loads(said)
        return found

    @staticmethod
    def outside() -> tuple[str, int]:
        """Return address and port of something that listens outside the cluster: its registry.

        The node itself would not do: what a pod sends to its own node passes by every policy.
        """
        return _docker("inspect", "--format", "{{.NetworkSettings.Networks.kind.IPAddress}}", "todo-registry"), 5000

    @contextmanager
    def stranger(self, namespace: str) -> Iterator["Deployment"]:
        """Run a pod of the backend's image in another namespace, named stranger, as long as the context lasts."""
        other = Deployment(namespace)
        image = self.kubectl("get", "pod", "prober", "--output", "jsonpath={.spec.containers[0].image}")
        other.kubectl("run", "stranger", f"--image={image}", "--command", "--", "sleep", "infinity")
        try:
            other.kubectl("wait", "pod/stranger", "--for=condition=Ready", "--timeout=60s")
            yield other
        finally:
            other.kubectl("delete", "pod", "stranger", "--grace-period=1")

    def traffic(self, *options: str) -> Traffic:
        """Return requests from a pod of the cluster, through the front door. options: the prober's."""
        kubectl = ["kubectl", "--context", CONTEXT, "--namespace", self.namespace, "exec", "--stdin", "prober", "--"]
        return Traffic([*kubectl, "python", "/prober/prober.py", "--url", "http://frontend:8080"], options)

    def figures(self, traffic: Traffic) -> Figures:
        """Sum up traffic that has ended, and what the database holds of it."""
        statement = f"SELECT id, title FROM todo WHERE title LIKE '{traffic.name}-%'"  # noqa: S608 - a word of ours
        fields = (line.split("|") for line in self.psql(statement).splitlines())
        return Figures.of(traffic.records(), [Row(int(number), title) for number, title in fields])


class DevelopmentDeployment(Deployment):
    """The application as `make up` runs it, where requests come from this machine as a browser's do."""

    def traffic(self, *options: str) -> Traffic:
        """Return requests from this machine, by way of the page's address. options: the prober's."""
        return Traffic([sys.executable, PROBER, "--url", "http://localhost:8080"], options)


def deploy() -> Deployment:
    """Start the cluster, build the images, apply the overlay ci in a namespace of its own; return when all is ready."""
    subprocess.run([sys.executable, "-m", "devenv", "prepare"], cwd=paths.CHECKOUT, check=True)
    build(TAGS[0])
    build(TAGS[1])
    remove()
    deployment = Deployment(NAMESPACE)
    apply(deployment)
    deployment.await_all()
    return deployment


def apply(deployment: Deployment, tag: str = TAGS[0]) -> None:
    """Apply all objects with images of that tag, and run the migrations."""
    rendered = render(paths.CHECKOUT / "k8s" / "overlays" / "ci")
    manifests = [manifest for manifest in (_adapted(manifest, tag) for manifest in rendered) if manifest]
    # A Job that has run does not run again.
    deployment.kubectl("delete", "job/migrate", "--ignore-not-found")
    deployment.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all([*manifests, *_prober(manifests)]))


def remove() -> None:
    """Delete the namespace and all in it."""
    result = kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=300)
    if result.returncode:
        raise ConnectionError(result.stderr)


def forget_images() -> None:
    """Remove from this machine what build() has made in this run; the layers that others use stay."""
    names = [f"--filter=reference={REGISTRY}/todo-{name}:{TAGS[0]}*" for name in ("backend", "migrate", "frontend")]
    if made := _docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", *names).split():
        _docker("image", "rm", *made)


def build(tag: str, checkout: Path = paths.CHECKOUT) -> None:
    """Build the images of a checkout under a tag, and put them where the cluster gets them."""
    stand_ins = json.loads(paths.STAND_INS.read_text()) if paths.STAND_INS.exists() else {}
    arguments = ["--build-arg", f"UBUNTU={stand_ins['ubuntu']}"] if stand_ins else []
    targets = (
        ("backend", "backend", "runtime"),
        ("migrate", "backend", "migrate"),
        ("frontend", "frontend", "runtime"),
    )
    for name, dockerfile, target in targets:
        file = checkout / "docker" / f"{dockerfile}.Dockerfile"
        # The same code under another tag is another image.
        marked = ["--build-arg", f"COMMIT={tag}"] if name == "backend" else []
        image = f"{REGISTRY}/todo-{name}:{tag}"
        _docker("build", "--tag", image, "--target", target, "--file", file, *arguments, *marked, checkout)
        _docker("push", "--quiet", image)
    if stand_ins:
        _docker("tag", stand_ins["postgres"], POSTGRES)
        _docker("push", "--quiet", POSTGRES)


def _docker(*arguments: str | Path) -> str:
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConnectionError(f"docker {arguments[0]}: {result.stderr.strip()[-2_000:]}")
    return result.stdout.strip()


def _adapted(manifest: Manifest, tag: str) -> Manifest | None:
    """Return the object for the drills' namespace, with images that the cluster can pull; no smoke test."""
    metadata = manifest["metadata"]
    if manifest["kind"] == "Namespace":
        metadata["name"] = NAMESPACE
        return manifest
    if manifest["kind"] == "Job" and metadata["name"] == "smoke":
        return None
    metadata["namespace"] = NAMESPACE
    for container in [container for each in pods([manifest]) for container in each.containers]:
        name = container["image"].partition(":")[0]
        if name.startswith("todo-"):
            container["image"] = f"{REGISTRY}/{name}:{tag}"
        elif paths.STAND_INS.exists():
            container["image"] = POSTGRES
    return manifest


def _prober(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return a pod that only waits to be told to send requests; it may do what the smoke test may."""
    (backend,) = [one for one in manifests if one["kind"] == "Deployment" and one["metadata"]["name"] == "backend"]
    (container,) = backend["spec"]["template"]["spec"]["containers"]
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prober", "namespace": NAMESPACE},
        "data": {program.name: program.read_text() for program in (PROBER, FUZZ)},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "prober", "namespace": NAMESPACE, "labels": PROBER_LABELS},
        "spec": {
            "serviceAccountName": "smoke",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "prober",
                    # Always the same, for it sends requests while others are rolled out.
                    "image": Deployment.image(TAGS[0]),
                    "command": ["sleep", "infinity"],
                    "volumeMounts": [{"name": "prober", "mountPath": "/prober", "readOnly": True}],
                    "securityContext": container["securityContext"],
                    # Two cores are nearly spoken for, with `make up` beside this.
                    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                }
            ],
            "volumes": [{"name": "prober", "configMap": {"name": "prober"}}],
        },
    }
    return [script, pod]
