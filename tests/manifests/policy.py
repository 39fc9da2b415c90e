"""The rules that every rendered overlay keeps. Each rule returns one sentence per violation, none when it is kept."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.manifests.manifests import COMPONENT, Manifest, Pods, identity, labels, of_kind, pods, selects

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
DIGEST = re.compile(r"^[\w./-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}$")
POOL_CONNECTIONS = 11  # of one backend: 5 kept, 5 at need, 1 for readiness
SERVER_CONNECTIONS = 100 - 3  # PostgreSQL's default less those reserved for superusers
DRAIN_SECONDS = 3 + 20  # the backend says for 3 s that it leaves, then has 20 s for what it has accepted


@dataclass(frozen=True)
class Allowance:
    """What one overlay may do that the others may not."""

    built_images: frozenset[str] = frozenset()  # names without a tag, which Tilt replaces by what it built
    writable_roots: frozenset[str] = frozenset()  # owners of containers that are written into while they run
    outside_objects: frozenset[str] = frozenset()  # objects that somebody else puts into the namespace
    dispensable: frozenset[str] = frozenset()  # Deployments of one replica, which may be away for a moment


Violations = Iterator[str]
Rule = Callable[[list[Manifest], Allowance], Violations]


def pod_security(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require the Pod Security Standard `restricted`."""
    for each in pods(manifests):
        spec, general = each.spec, each.spec.get("securityContext", {})
        yield from (f"{each.owner}: {name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
        for volume in spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            if not kinds <= ALLOWED_VOLUMES:
                yield f"{each.owner}: volume {volume['name']} is a {', '.join(sorted(kinds - ALLOWED_VOLUMES))}"
        if set(general) & {"seLinuxOptions", "sysctls", "windowsOptions"}:
            yield f"{each.owner}: seLinuxOptions, sysctls or windowsOptions are set"
        for container in each.containers:
            what = f"{each.owner}, container {container['name']}"
            yield from (f"{what}: {problem}" for problem in container_security(container, general))


def container_security(container: Manifest, general: Manifest) -> Violations:
    """Apply `restricted` to one container, given the pod's own securityContext."""
    own = container.get("securityContext", {})
    both = {**general, **own}
    added = set(own.get("capabilities", {}).get("add", []))
    seccomp = both.get("seccompProfile", {}).get("type")
    handlers = [container.get(probe, {}) for probe in PROBES] + list(container.get("lifecycle", {}).values())
    actions = [action for handler in handlers for action in handler.values() if isinstance(action, dict)]
    verdicts = {
        "privileged is set": "privileged" in own,
        "allowPrivilegeEscalation is not false": own.get("allowPrivilegeEscalation") is not False,
        "capabilities are not dropped": "ALL" not in own.get("capabilities", {}).get("drop", []),
        f"capabilities {sorted(added)} are added": bool(added - {"NET_BIND_SERVICE"}),
        "runAsNonRoot is not true": both.get("runAsNonRoot") is not True,
        "runAsUser is root or left to the image": not both.get("runAsUser"),
        "seccompProfile is neither RuntimeDefault nor Localhost": seccomp not in {"RuntimeDefault", "Localhost"},
        "procMount is set": "procMount" in own,
        "a hostPort is set": any("hostPort" in port for port in container.get("ports", [])),
        "a probe or hook names a host": any("host" in action for action in actions),
    }
    yield from (violation for violation, seen in verdicts.items() if seen)


def hardening(manifests: list[Manifest], allowance: Allowance) -> Violations:
    """Require what this repository asks beyond Pod Security."""
    accounts = {each["metadata"]["name"]: each for each in of_kind(manifests, "ServiceAccount")}
    for each in pods(manifests):
        account = accounts.get(each.spec.get("serviceAccountName", "default"))
        if account is None:
            yield f"{each.owner}: has no ServiceAccount of its own"
        elif account.get("automountServiceAccountToken") is not False:
            yield f"{each.owner}: its ServiceAccount mounts a token"
        if each.spec.get("automountServiceAccountToken"):
            yield f"{each.owner}: mounts a token"
        if each.spec.get("enableServiceLinks") is not False:
            yield f"{each.owner}: enableServiceLinks is not false"
        for container in each.containers:
            read_only = container.get("securityContext", {}).get("readOnlyRootFilesystem") is True
            if not read_only and each.owner not in allowance.writable_roots:
                yield f"{each.owner}, container {container['name']}: readOnlyRootFilesystem is not true"


def resources(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require requests of processor and memory, and a limit of memory; one of processor time only adds latency."""
    for each in pods(manifests):
        for container in each.containers:
            what = f"{each.owner}, container {container['name']}"
            stated = container.get("resources", {})
            if set(stated.get("requests", {})) != {"cpu", "memory"}:
                yield f"{what}: requests are not of cpu and memory"
            if set(stated.get("limits", {})) != {"memory"}:
                yield f"{what}: limits are not of memory alone"


def images(manifests: list[Manifest], allowance: Allowance) -> Violations:
    """Require every image to be pinned by its digest or built from this repository."""
    for each in pods(manifests):
        for container in each.containers:
            image = container["image"]
            if not DIGEST.match(image) and image not in allowance.built_images:
                yield f"{each.owner}, container {container['name']}: image {image} has no digest"
            if "imagePullPolicy" in container:
                yield f"{each.owner}, container {container['name']}: imagePullPolicy is set"


def probes(manifests: list[Manifest], allowance: Allowance) -> Violations:
    """Require that what serves is asked whether it is ready, through ports that exist, and leaves in time."""
    for each in pods(manifests):
        names = {port["name"] for port in each.ports}
        for container in each.serving:
            what = f"{each.owner}, container {container['name']}"
            yield from (
                f"{what}: {probe} asks port {container[probe]['httpGet']['port']}, which it does not have"
                for probe in PROBES
                if "httpGet" in container.get(probe, {}) and container[probe]["httpGet"]["port"] not in names
            )
            if each.kind != "Job":
                yield from (f"{what}: has no {probe}" for probe in PROBES[:2] if probe not in container)
            if each.kind == "Deployment" and each.owner not in allowance.dispensable:
                yield from (f"{what}: {problem}" for problem in departure(each, container))


def departure(each: Pods, container: Manifest) -> Violations:
    """Check that a pod goes on serving while others learn that it leaves, and that its end leaves time for the rest."""
    asleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if not asleep:
        yield "has no preStop sleep"
    if asleep + DRAIN_SECONDS > each.spec.get("terminationGracePeriodSeconds", 30):
        yield "terminationGracePeriodSeconds does not hold the preStop sleep and the drain"


def services(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require every Service to find pods, and its ports by name, and every StatefulSet to find its Service."""
    for service in of_kind(manifests, "Service"):
        spec = service["spec"]
        behind = [each for each in pods(manifests) if spec["selector"].items() <= labels(each.template).items()]
        if len(behind) != 1:
            yield f"{identity(service)}: selects the pods of {len(behind)} workloads"
        for port in spec["ports"]:
            if any(port.get("targetPort") not in {own["name"] for own in each.ports} for each in behind):
                yield f"{identity(service)}: port {port['name']} leads to no named port"
    names = {service["metadata"]["name"] for service in of_kind(manifests, "Service")}
    for workload in of_kind(manifests, "StatefulSet"):
        if workload["spec"]["serviceName"] not in names:
            yield f"{identity(workload)}: Service {workload['spec']['serviceName']} does not exist"


def availability(manifests: list[Manifest], allowance: Allowance) -> Violations:
    """Require several replicas that replace each other one by one, with a budget; one replica has none."""
    budgets = of_kind(manifests, "PodDisruptionBudget")
    scaled = {target(each) for each in of_kind(manifests, "HorizontalPodAutoscaler")}
    for each in pods(manifests):
        covering = [one for one in budgets if selects(one["spec"]["selector"], labels(each.template))]
        several = each.kind == "Deployment" and each.owner not in allowance.dispensable
        if len(covering) != (1 if several else 0):
            yield f"{each.owner}: {len(covering)} PodDisruptionBudgets cover it"
        if not several:
            continue
        if each.owner not in scaled and (each.replicas or 1) < 2:
            yield f"{each.owner}: has fewer than two replicas"
        if each.workload["spec"].get("strategy", {}).get("rollingUpdate") != {"maxUnavailable": 0, "maxSurge": 1}:
            yield f"{each.owner}: a rollout may take replicas away"
        if not each.spec.get("topologySpreadConstraints"):
            yield f"{each.owner}: may stand on one node alone"
    for budget in budgets:
        if not any(selects(budget["spec"]["selector"], labels(each.template)) for each in pods(manifests)):
            yield f"{identity(budget)}: covers no pod"
        if (
            budget["spec"].get("maxUnavailable") != 1
            or budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow"
        ):
            yield f"{identity(budget)}: may hold up a drain"


def target(autoscaler: Manifest) -> str:
    """Return the identity of what an autoscaler scales."""
    reference = autoscaler["spec"]["scaleTargetRef"]
    return f"{reference['kind']}/{reference['name']}"


def autoscaling(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require an autoscaler to have something to scale, and no rival number in a manifest."""
    owners = {each.owner: each for each in pods(manifests)}
    for autoscaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        scaled = owners.get(target(autoscaler))
        if scaled is None:
            yield f"{identity(autoscaler)}: {target(autoscaler)} does not exist"
            continue
        if scaled.replicas is not None:
            yield f"{identity(autoscaler)}: {scaled.owner} states replicas as well"
        spec = autoscaler["spec"]
        if not 2 <= spec["minReplicas"] < spec["maxReplicas"]:
            yield f"{identity(autoscaler)}: minReplicas {spec['minReplicas']}, maxReplicas {spec['maxReplicas']}"


def connections(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require that all backends at once, amid a rollout, leave the database connections to spare."""
    ceilings = {target(each): each["spec"]["maxReplicas"] for each in of_kind(manifests, "HorizontalPodAutoscaler")}
    for each in pods(manifests):
        if each.owner == "Deployment/backend":
            surge = each.workload["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
            wanted = (ceilings.get(each.owner, each.replicas or 1) + surge) * POOL_CONNECTIONS
            if wanted >= SERVER_CONNECTIONS:
                yield f"{each.owner}: {wanted} connections wanted, {SERVER_CONNECTIONS} there"


def selectors(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require a selector, which cannot be changed later, to be the component alone and to find its own pods."""
    for each in pods(manifests):
        if each.kind == "Job":
            if "selector" in each.workload["spec"]:
                yield f"{each.owner}: states a selector"
            continue
        selector = each.workload["spec"]["selector"]
        if set(selector.get("matchLabels", {})) != {COMPONENT} or set(selector) != {"matchLabels"}:
            yield f"{each.owner}: its selector is not {COMPONENT} alone"
        elif not selects(selector, labels(each.template)):
            yield f"{each.owner}: its selector misses its own pods"
    components = [labels(each.template).get(COMPONENT) for each in pods(manifests)]
    yield from (
        f"component {name}: several workloads" for name in sorted(map(str, components)) if components.count(name) > 1
    )


def base_labels(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require everything to say what it is part of, workloads and their pods to say what they are too."""
    templates = {each.owner: each.template for each in pods(manifests)}
    for manifest in manifests:
        wanted = {"part-of", "managed-by"}
        things = {identity(manifest): manifest}
        if identity(manifest) in templates:
            wanted |= {"name", "component"}
            things[f"pods of {identity(manifest)}"] = templates[identity(manifest)]
        for what, thing in things.items():
            missing = {f"app.kubernetes.io/{name}" for name in wanted} - set(labels(thing))
            if missing:
                yield f"{what}: label {', '.join(sorted(missing))} is missing"
            if labels(thing).get("app.kubernetes.io/part-of", "todo") != "todo":
                yield f"{what}: is part of {labels(thing)['app.kubernetes.io/part-of']}"


def secrecy(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require passwords to be files that only their reader can read, none in a manifest or an environment."""
    for each in pods(manifests):
        for container in each.containers:
            what = f"{each.owner}, container {container['name']}"
            for variable in container.get("env", []):
                value = variable.get("value", "")
                secret_name = re.search(r"PASSWORD|SECRET|TOKEN", variable["name"]) and not value.startswith(
                    "/run/secrets/"
                )
                if (
                    secret_name
                    or re.search(r"://[^/@]*:[^/@]*@", value)
                    or "secretKeyRef" in variable.get("valueFrom", {})
                ):
                    yield f"{what}: {variable['name']} brings a secret into the environment"
            if any("secretRef" in source for source in container.get("envFrom", [])):
                yield f"{what}: envFrom brings a Secret into the environment"
        for volume in each.spec.get("volumes", []):
            secret = volume.get("secret") or volume.get("projected")
            if secret and secret.get("defaultMode") != 0o440:
                yield f"{each.owner}: volume {volume['name']} can be read by all"


def references(manifests: list[Manifest], allowance: Allowance) -> Violations:
    """Require what a pod names to be there, under the very name that it has after rendering."""
    there = {f"{each['kind']}/{each['metadata']['name']}" for each in manifests} | allowance.outside_objects
    for each in pods(manifests):
        named = {f"ConfigMap/{name}" for name in names_under(each.spec, "configMapKeyRef", "configMap")}
        named |= {f"Secret/{name}" for name in names_under(each.spec, "secretKeyRef", "secret")}
        yield from (f"{each.owner}: {name} does not exist" for name in sorted(named - there))
        claims = each.workload["spec"].get("volumeClaimTemplates", [])
        volumes = {volume["name"] for volume in each.spec.get("volumes", [])} | {
            one["metadata"]["name"] for one in claims
        }
        mounted = {mount["name"] for container in each.containers for mount in container.get("volumeMounts", [])}
        yield from (f"{each.owner}: volume {name} does not exist" for name in sorted(mounted - volumes))
        yield from (f"{each.owner}: volume {name} is not mounted" for name in sorted(volumes - mounted))


def names_under(value: Any, *keys: str) -> set[str]:  # noqa: ANN401 - any part of a manifest
    """Return the names of the objects that these keys refer to, at any depth."""
    if isinstance(value, list):
        return {name for one in value for name in names_under(one, *keys)}
    if not isinstance(value, dict):
        return set()
    found = {one.get("name") or one.get("secretName") for key, one in value.items() if key in keys}
    return found | {name for one in value.values() for name in names_under(one, *keys)}


def jobs(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require a Job's first failure to be its last, and an end."""
    for each in pods(manifests):
        if each.kind == "Job":
            spec = each.workload["spec"]
            if spec.get("backoffLimit") != 0 or each.spec.get("restartPolicy") != "Never":
                yield f"{each.owner}: tries again"
            if not spec.get("activeDeadlineSeconds"):
                yield f"{each.owner}: may run for ever"


def namespace(manifests: list[Manifest], _: Allowance) -> Violations:
    """Require one namespace, rendered too, that denies by default and enforces `restricted`."""
    spaces = of_kind(manifests, "Namespace")
    if len(spaces) != 1:
        yield f"{len(spaces)} namespaces"
        return
    name = spaces[0]["metadata"]["name"]
    for manifest in manifests:
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace") != name:
            yield f"{identity(manifest)}: is not in namespace {name}"
    for mode in ("enforce", "audit", "warn"):
        if labels(spaces[0]).get(f"pod-security.kubernetes.io/{mode}") != "restricted":
            yield f"{identity(spaces[0])}: does not {mode} restricted"
        if not re.fullmatch(r"v1\.\d+", labels(spaces[0]).get(f"pod-security.kubernetes.io/{mode}-version", "")):
            yield f"{identity(spaces[0])}: {mode} is not pinned to a version"
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(policy["spec"] == deny for policy in of_kind(manifests, "NetworkPolicy")):
        yield f"{identity(spaces[0])}: no NetworkPolicy denies by default"


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        pod_security, hardening, resources, images, probes, services, availability, autoscaling, connections, selectors,
        base_labels, secrecy, references, jobs, namespace,
    )
}  # fmt: skip
