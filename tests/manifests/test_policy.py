import copy
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.manifests.manifests import COMPONENT, Manifest, find, of_kind, pods
from tests.manifests.mutation import REMOVED, Place, mutated
from tests.manifests.policy import RULES, Allowance

ALLOWANCES = {
    "dev": Allowance(
        built_images=frozenset({"todo-backend-dev", "todo-browser-reload-dev", "todo-frontend-dev", "todo-migrate"}),
        writable_roots=frozenset({"Deployment/backend", "Deployment/frontend"}),
        dispensable=frozenset({"Deployment/browser-reload"}),
    ),
    "ci": Allowance(built_images=frozenset({"todo-backend", "todo-frontend", "todo-migrate"})),
    "production": Allowance(outside_objects=frozenset({"Secret/database"})),
}

POD: Place = ("spec", "template", "spec")
BACKEND: Place = (*POD, "containers", "backend")
POSTGRES: Place = (*POD, "containers", "postgres")
SECURITY: Place = (*BACKEND, "securityContext")
POD_SECURITY: Place = (*POD, "securityContext")
LABELS: Place = ("metadata", "labels")
POD_LABELS: Place = ("spec", "template", *LABELS)
DEPLOYMENT = "Deployment/backend"
AUTOSCALER = "HorizontalPodAutoscaler/backend"


@dataclass(frozen=True)
class Broken:
    """One place of an overlay changed for the worse, and what the rule must say about it."""

    rule: str
    sentence: str
    wanted: str
    place: Place
    value: object
    overlay: str = "ci"


BROKEN = (
    Broken("pod_security", "hostNetwork is set", DEPLOYMENT, (*POD, "hostNetwork"), value=True),
    Broken("pod_security", "tmp is a hostPath", DEPLOYMENT, (*POD, "volumes", "tmp"), {"name": "tmp", "hostPath": {}}),
    Broken("pod_security", "sysctls", DEPLOYMENT, (*POD_SECURITY, "sysctls"), []),
    Broken("pod_security", "runAsNonRoot is not true", DEPLOYMENT, (*POD_SECURITY, "runAsNonRoot"), REMOVED),
    Broken("pod_security", "runAsUser is root", DEPLOYMENT, (*POD_SECURITY, "runAsUser"), 0),
    Broken("pod_security", "seccompProfile", DEPLOYMENT, (*POD_SECURITY, "seccompProfile"), REMOVED),
    Broken("pod_security", "privileged is set", DEPLOYMENT, (*SECURITY, "privileged"), value=True),
    Broken("pod_security", "runAsNonRoot is not true", DEPLOYMENT, (*SECURITY, "runAsNonRoot"), value=False),
    Broken("pod_security", "allowPrivil", DEPLOYMENT, (*SECURITY, "allowPrivilegeEscalation"), REMOVED),
    Broken("pod_security", "are not dropped", DEPLOYMENT, (*SECURITY, "capabilities", "drop"), []),
    Broken("pod_security", "are added", DEPLOYMENT, (*SECURITY, "capabilities", "add"), ["SYS_ADMIN"]),
    Broken("pod_security", "procMount is set", DEPLOYMENT, (*SECURITY, "procMount"), "Unmasked"),
    Broken("pod_security", "a hostPort is set", DEPLOYMENT, (*BACKEND, "ports", "http", "hostPort"), 80),
    Broken("pod_security", "names a host", DEPLOYMENT, (*BACKEND, "livenessProbe", "httpGet", "host"), "example.com"),
    Broken("pod_security", "container wait: allowPrivil", "Job/migrate", (*POD, "initContainers"), [{"name": "wait"}]),
    Broken("hardening", "no ServiceAccount of its own", DEPLOYMENT, (*POD, "serviceAccountName"), REMOVED),
    Broken("hardening", "mounts a token", DEPLOYMENT, (*POD, "automountServiceAccountToken"), value=True),
    Broken("hardening", "mounts a token", "ServiceAccount/backend", ("automountServiceAccountToken",), REMOVED),
    Broken("hardening", "enableServiceLinks", DEPLOYMENT, (*POD, "enableServiceLinks"), REMOVED),
    Broken("hardening", "readOnlyRoot", DEPLOYMENT, (*SECURITY, "readOnlyRootFilesystem"), value=False),
    Broken(
        "hardening",
        "readO",
        "Job/migrate",
        (*POD, "containers", 0, "securityContext", "readOnlyRootFilesystem"),
        value=False,
        overlay="dev",
    ),
    Broken(
        "resources",
        "requests are not of cpu and memory",
        DEPLOYMENT,
        (*BACKEND, "resources", "requests", "cpu"),
        REMOVED,
    ),
    Broken("resources", "limits are not of memory alone", DEPLOYMENT, (*BACKEND, "resources", "limits"), REMOVED),
    Broken("resources", "limits are not of memory alone", DEPLOYMENT, (*BACKEND, "resources", "limits", "cpu"), "1"),
    Broken("images", "todo-backend:latest has no digest", DEPLOYMENT, (*BACKEND, "image"), "todo-backend:latest"),
    Broken("images", "todo-backend-dev has no digest", DEPLOYMENT, (*BACKEND, "image"), "todo-backend-dev"),
    Broken("images", "imagePullPolicy is set", DEPLOYMENT, (*BACKEND, "imagePullPolicy"), "Always"),
    Broken("images", "postgres:17 has no digest", "StatefulSet/postgres", (*POSTGRES, "image"), "postgres:17"),
    Broken("images", "todo-backend has no digest", DEPLOYMENT, (*BACKEND, "image"), "todo-backend", "production"),
    Broken("images", "has no digest", DEPLOYMENT, (*BACKEND, "image"), "todo-backend@sha256:0123", "production"),
    Broken("probes", "has no readinessProbe", DEPLOYMENT, (*BACKEND, "readinessProbe"), REMOVED),
    Broken("probes", "asks port web", DEPLOYMENT, (*BACKEND, "readinessProbe", "httpGet", "port"), "web"),
    Broken("probes", "no preStop sleep", DEPLOYMENT, (*BACKEND, "lifecycle"), REMOVED),
    Broken("probes", "does not hold", DEPLOYMENT, (*POD, "terminationGracePeriodSeconds"), 20),
    Broken("services", "selects the pods of 0 workloads", "Service/backend", ("spec", "selector"), {"app": "backend"}),
    Broken("services", "leads to no named port", "Service/backend", ("spec", "ports", "http", "targetPort"), "web"),
    Broken("services", "Service postgres does not exist", "Service/postgres", (), REMOVED),
    Broken("availability", "Deployment/backend: 0 PodDisruptionBudgets", "PodDisruptionBudget/backend", (), REMOVED),
    Broken(
        "availability",
        "covers no pod",
        "PodDisruptionBudget/backend",
        ("spec", "selector"),
        {"matchLabels": {"a": "b"}},
    ),
    Broken("availability", "StatefulSet/postgres: 1 PodDis", "PodDisruptionBudget/backend", ("spec", "selector"), {}),
    Broken(
        "availability",
        "Deployment/browser-reload: 1 PodDis",
        "PodDisruptionBudget/backend",
        ("spec", "selector"),
        {},
        "dev",
    ),
    Broken("availability", "may hold up a drain", "PodDisruptionBudget/backend", ("spec", "maxUnavailable"), 0),
    Broken("availability", "fewer than two replicas", DEPLOYMENT, ("spec", "replicas"), 1),
    Broken("availability", "may take replicas away", DEPLOYMENT, ("spec", "strategy"), REMOVED),
    Broken("availability", "one node alone", DEPLOYMENT, (*POD, "topologySpreadConstraints"), REMOVED),
    Broken("availability", "fewer than two replicas", AUTOSCALER, (), REMOVED, "production"),
    Broken(
        "autoscaling",
        "Deployment/web does not exist",
        AUTOSCALER,
        ("spec", "scaleTargetRef", "name"),
        "web",
        "production",
    ),
    Broken("autoscaling", "states replicas as well", DEPLOYMENT, ("spec", "replicas"), 3, "production"),
    Broken("autoscaling", "minReplicas 1", AUTOSCALER, ("spec", "minReplicas"), 1, "production"),
    Broken("connections", "110 connections wanted, 97 there", AUTOSCALER, ("spec", "maxReplicas"), 9, "production"),
    Broken("connections", "110 connections wanted, 97 there", DEPLOYMENT, ("spec", "replicas"), 9),
    Broken("selectors", "alone", DEPLOYMENT, ("spec", "selector", "matchLabels", "app.kubernetes.io/part-of"), "todo"),
    Broken("selectors", "misses its own", DEPLOYMENT, (*POD_LABELS, COMPONENT), "web"),
    Broken("selectors", "several", "Job/smoke", (*POD_LABELS, COMPONENT), "backend"),
    Broken("selectors", "states a selector", "Job/smoke", ("spec", "selector"), {}),
    Broken(
        "base_labels",
        "Service/backend: label app.kubernetes.io/man",
        "Service/backend",
        ("metadata", "labels"),
        REMOVED,
    ),
    Broken("base_labels", "pods of Depl", DEPLOYMENT, (*POD_LABELS, "app.kubernetes.io/name"), REMOVED),
    Broken("base_labels", "is part of shop", DEPLOYMENT, (*LABELS, "app.kubernetes.io/part-of"), "shop"),
    Broken(
        "secrecy", "DATABASE_PASSWORD", DEPLOYMENT, (*BACKEND, "env", 3), {"name": "DATABASE_PASSWORD", "value": "x"}
    ),
    Broken("secrecy", "DATABASE_URL", DEPLOYMENT, (*BACKEND, "env", "DATABASE_URL", "value"), "postgresql://a:b@c/d"),
    Broken("secrecy", "POD_NAME", DEPLOYMENT, (*BACKEND, "env", "POD_NAME", "valueFrom"), {"secretKeyRef": {}}),
    Broken("secrecy", "envFrom", DEPLOYMENT, (*BACKEND, "envFrom"), [{"secretRef": {"name": "database"}}]),
    Broken(
        "secrecy", "can be read by all", DEPLOYMENT, (*POD, "volumes", "secrets", "projected", "defaultMode"), 0o444
    ),
    Broken("references", "Deployment/backend: Secret/database-", "Secret/database", (), REMOVED),
    Broken("references", "Deployment/backend: ConfigMap/database-", "ConfigMap/database", (), REMOVED),
    Broken("references", "Job/smoke: ConfigMap/smoke-", "ConfigMap/smoke", ("metadata", "name"), "smoke"),
    Broken("references", "volume tmp does not exist", DEPLOYMENT, (*POD, "volumes", 1), REMOVED),
    Broken("references", "volume tmp is not mounted", DEPLOYMENT, (*BACKEND, "volumeMounts", 1), REMOVED),
    Broken("jobs", "tries again", "Job/migrate", ("spec", "backoffLimit"), REMOVED),
    Broken("jobs", "tries again", "Job/migrate", (*POD, "restartPolicy"), "OnFailure"),
    Broken("jobs", "may run for ever", "Job/migrate", ("spec", "activeDeadlineSeconds"), REMOVED),
    Broken("namespace", "0 namespaces", "Namespace/todo-ci", (), REMOVED),
    Broken("namespace", "is not in namespace todo-ci", DEPLOYMENT, ("metadata", "namespace"), "todo"),
    Broken("namespace", "enforce", "Namespace/todo-ci", (*LABELS, "pod-security.kubernetes.io/enforce"), "baseline"),
    Broken("namespace", "warn", "Namespace/todo-ci", (*LABELS, "pod-security.kubernetes.io/warn-version"), "latest"),
    Broken("namespace", "denies by default", "NetworkPolicy/default-deny", ("spec", "policyTypes"), ["Ingress"]),
)


@pytest.mark.core
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("overlay", ALLOWANCES)
def test_overlay_keeps_rule(rendered: dict[str, list[Manifest]], overlay: str, rule: str) -> None:
    assert list(RULES[rule](rendered[overlay], ALLOWANCES[overlay])) == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.rule}: {broken.sentence}")
def test_rule_names_what_is_broken(rendered: dict[str, list[Manifest]], broken: Broken) -> None:
    manifests = mutated(rendered[broken.overlay], broken.wanted, broken.place, broken.value)
    sentences = list(RULES[broken.rule](manifests, ALLOWANCES[broken.overlay]))
    assert any(broken.sentence in sentence for sentence in sentences), sentences


def test_every_rule_is_shown_to_fail() -> None:
    assert {broken.rule for broken in BROKEN} == set(RULES)


def test_base_carries_no_secret(rendered: dict[str, list[Manifest]]) -> None:
    assert of_kind(rendered["base"], "Secret") == []
    assert list(RULES["secrecy"](rendered["base"], Allowance())) == []


def test_passwords_reach_only_their_users(rendered: dict[str, list[Manifest]]) -> None:
    """Each client mounts the one key that it logs in with; the server needs all three."""
    mounted = {each.owner: mounted_keys(each.spec) for each in pods(rendered["ci"])}
    assert {owner: keys for owner, keys in mounted.items() if keys} == {
        "CronJob/backup": ["migrate_password"],
        "Deployment/backend": ["app_password", "app_password_next"],
        "Job/migrate": ["migrate_password"],
        "StatefulSet/postgres": ["postgres_password", "migrate_password", "app_password"],
    }


def mounted_keys(spec: Manifest) -> list[str]:
    """Return the keys of Secrets that are mounted; every Secret if not by name, as "*"."""
    volumes = spec.get("volumes", [])
    secrets = [volume["secret"] for volume in volumes if "secret" in volume]
    secrets += [source["secret"] for volume in volumes for source in volume.get("projected", {}).get("sources", [])]
    return [item["key"] for secret in secrets for item in secret.get("items", [{"key": "*"}])]


def test_a_changed_password_restarts_its_users(rendered: dict[str, list[Manifest]]) -> None:
    """The Secret's name carries the hash of its content, and rule `references` follows it into the pods."""
    secret = find(rendered["ci"], "Secret/database")
    assert secret["metadata"]["name"] != "database"
    renamed = copy.deepcopy(rendered["ci"])
    find(renamed, "Secret/database")["metadata"]["name"] = "database"
    broken = {sentence.split(":")[0] for sentence in RULES["references"](renamed, ALLOWANCES["ci"])}
    # Not the server: it is told, and a restart would be an outage.
    assert broken == {"CronJob/backup", "Deployment/backend", "Job/migrate"}


def test_compose_runs_the_same_postgres(rendered: dict[str, list[Manifest]]) -> None:
    (container,) = find(rendered["base"], "StatefulSet/postgres")["spec"]["template"]["spec"]["containers"]
    assert container["image"] in (Path(__file__).parents[2] / "docker" / "compose.yaml").read_text()
