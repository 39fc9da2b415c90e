"""What kustomize makes of k8s/, as plain data, and the few questions that every check asks of it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

# The one that is written in C takes a tenth of the time.
LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")
COMPONENT = "app.kubernetes.io/component"
# The last part of a generated name: ten characters of kustomize's own alphabet.
GENERATED = re.compile(r"-[2456789bcdfghkmt]{10}$")


def render(directory: Path) -> list[Manifest]:
    """Return the objects of a kustomization; raises RuntimeError with kustomize's own words if there are none."""
    kubectl = Path(sys.executable).with_name("kubectl")
    try:
        result = subprocess.run([kubectl, "kustomize", directory], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError(f"{kubectl} is missing: install requirements-dev.txt") from None
    if result.returncode != 0:
        raise RuntimeError(f"{directory.name} does not render: {result.stderr.strip()}")
    return [manifest for manifest in yaml.load_all(result.stdout, Loader=LOADER) if manifest]


def identity(manifest: Manifest) -> str:
    """Return kind and name without the hash of generated ones, such as ConfigMap/database."""
    return f"{manifest['kind']}/{GENERATED.sub('', manifest['metadata']['name'])}"


def find(manifests: list[Manifest], wanted: str) -> Manifest:
    """Return the object of that identity; raises LookupError if it is not there exactly once."""
    found = [manifest for manifest in manifests if identity(manifest) == wanted]
    if len(found) != 1:
        raise LookupError(f"{wanted}: {len(found)} among {[identity(manifest) for manifest in manifests]}")
    return found[0]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """Return the objects of these kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def labels(thing: Manifest) -> dict[str, str]:
    """Return the labels of an object or a pod template."""
    return dict(thing.get("metadata", {}).get("labels", {}))


def selects(selector: Manifest, candidate: dict[str, str]) -> bool:
    """Tell whether a label selector of matchLabels matches; raises ValueError for one that it cannot read."""
    if set(selector) - {"matchLabels"}:
        raise ValueError(f"selector {selector}: only matchLabels is understood here")
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= candidate.items()


@dataclass(frozen=True)
class Pods:
    """The pods that a workload makes."""

    owner: str
    kind: str
    replicas: int | None
    workload: Manifest
    template: Manifest

    @property
    def spec(self) -> Manifest:
        """The pod's own specification."""
        return dict(self.template["spec"])

    @property
    def containers(self) -> list[Manifest]:
        """All containers, those for the start included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def serving(self) -> list[Manifest]:
        """The containers that run as long as the pod does."""
        containers: list[Manifest] = self.spec["containers"]
        return containers

    @property
    def ports(self) -> list[Manifest]:
        """All ports that the containers declare."""
        return [port for container in self.containers for port in container.get("ports", [])]


def pods(manifests: list[Manifest]) -> Iterator[Pods]:
    """Yield the pods of every workload."""
    for manifest in of_kind(manifests, *WORKLOADS):
        # A CronJob's pods are made by Jobs.
        kind, workload = manifest["kind"], manifest
        if kind == "CronJob":
            kind, workload = "Job", manifest["spec"]["jobTemplate"]
        spec = workload["spec"]
        yield Pods(identity(manifest), kind, spec.get("replicas"), workload, spec["template"])
