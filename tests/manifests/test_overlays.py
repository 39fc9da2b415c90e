"""What each overlay changes of the base, in full: a patch that misses its target, or does more, shows here."""

import shutil
from pathlib import Path

import pytest

from tests.manifests.manifests import GENERATED, Manifest, find, identity, render

# Every object gets these from every overlay; the rules `namespace` and `base_labels` look at them.
STAMPED = ("namespace", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")
NO_DIGEST = "sha256:" + 64 * "0"

Fields = dict[str, object]

BACKEND = "Deployment/backend: spec.template.spec.containers.backend"
FRONTEND = "Deployment/frontend: spec.template.spec.containers.frontend"
AWAIT_BACKEND = "Deployment/frontend: spec.template.spec.initContainers.await-backend"
MIGRATE = "Job/migrate: spec.template.spec.containers.migrate"

# A value of None: the overlay does not have the field.
CHANGED: dict[str, Fields] = {
    "dev": {
        f"{BACKEND}.image": "todo-backend-dev",
        f"{BACKEND}.env.LOG_FORMAT.value": "human",
        f"{BACKEND}.livenessProbe.httpGet.path": None,
        f"{BACKEND}.livenessProbe.httpGet.port": None,
        f"{BACKEND}.livenessProbe.timeoutSeconds": None,
        f"{BACKEND}.livenessProbe.failureThreshold": None,
        f"{BACKEND}.resources.limits.memory": "512Mi",
        f"{BACKEND}.securityContext.readOnlyRootFilesystem": False,
        f"{AWAIT_BACKEND}.image": "todo-frontend-dev",
        f"{FRONTEND}.image": "todo-frontend-dev",
        f"{FRONTEND}.securityContext.readOnlyRootFilesystem": False,
        f"{MIGRATE}.env.LOG_FORMAT.value": "human",
        "Service/frontend: spec.type": "NodePort",
        "Service/frontend: spec.ports.http.nodePort": 30080,
    },
    "ci": {},
    "production": {
        f"{BACKEND}.image": f"registry.example.com/todo-backend@{NO_DIGEST}",
        f"{AWAIT_BACKEND}.image": f"registry.example.com/todo-frontend@{NO_DIGEST}",
        f"{FRONTEND}.image": f"registry.example.com/todo-frontend@{NO_DIGEST}",
        f"{MIGRATE}.image": f"registry.example.com/todo-migrate@{NO_DIGEST}",
        "ConfigMap/database: data.address": "database.example.com:5432/todo?sslmode=require",
        "Deployment/backend: spec.replicas": None,
        "Deployment/frontend: spec.replicas": 3,
        "NetworkPolicy/backend: spec.egress.0.to.0.ipBlock.cidr": "192.0.2.0/24",
        "NetworkPolicy/backend: spec.egress.0.to.0.podSelector.matchLabels.app.kubernetes.io/component": None,
        "NetworkPolicy/migrate: spec.egress.0.to.0.ipBlock.cidr": "192.0.2.0/24",
        "NetworkPolicy/migrate: spec.egress.0.to.0.podSelector.matchLabels.app.kubernetes.io/component": None,
    },
}
ADDED = {
    "dev": {
        "Secret/database",
        "Secret/database-server",
        "Deployment/browser-reload",
        "NetworkPolicy/browser-reload",
        "NetworkPolicy/browser-reload-to-backend",
        "NetworkPolicy/frontend-to-browser-reload",
        "Service/backend-pods",
        "Service/browser-reload",
        "Service/frontend-pods",
        "ServiceAccount/browser-reload",
    },
    "ci": {
        "Secret/database",
        "Secret/database-server",
        "ConfigMap/backup",
        "CronJob/backup",
        "NetworkPolicy/backup",
        "NetworkPolicy/backup-to-postgres",
        "PersistentVolumeClaim/backups",
        "ServiceAccount/backup",
        "ConfigMap/smoke",
        "Job/smoke",
        "NetworkPolicy/smoke",
        "ServiceAccount/smoke",
    },
    "production": {"HorizontalPodAutoscaler/backend"},
}
REMOVED = {
    "dev": set[str](),
    "ci": set[str](),
    "production": {
        "ConfigMap/postgres-roles",
        "NetworkPolicy/postgres",
        "Service/postgres",
        "ServiceAccount/postgres",
        "StatefulSet/postgres",
    },
}
NAMESPACE = {"dev": "todo", "ci": "todo-ci", "production": "todo"}


def fields(value: object, path: str = "") -> Fields:
    """Return every leaf by its path; a list's items go by their names where they have one."""
    if isinstance(value, dict):
        items = [(key, one) for key, one in value.items() if key not in STAMPED]
    elif isinstance(value, list):
        named = all(isinstance(one, dict) and "name" in one for one in value)
        items = [(one["name"], {**one, "name": None}) if named else (str(at), one) for at, one in enumerate(value)]
    else:
        leaf = GENERATED.sub("", value) if isinstance(value, str) else value
        return {} if leaf is None else {path: leaf}
    return {at: leaf for key, one in items for at, leaf in fields(one, f"{path}.{key}" if path else key).items()}


def objects(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {identity(manifest): manifest for manifest in manifests if manifest["kind"] != "Namespace"}


@pytest.mark.core
@pytest.mark.parametrize("overlay", CHANGED)
def test_overlay_changes_exactly_what_is_written_here(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    base, own = objects(rendered["base"]), objects(rendered[overlay])
    assert own.keys() - base.keys() == ADDED[overlay]
    assert base.keys() - own.keys() == REMOVED[overlay]
    changed: Fields = {}
    for name in base.keys() & own.keys():
        before, after = fields(base[name]), fields(own[name])
        differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        changed |= {f"{name}: {path}": after.get(path) for path in differing}
    assert changed == CHANGED[overlay]


@pytest.mark.parametrize("overlay", NAMESPACE)
def test_overlay_has_its_namespace(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    assert identity(find(rendered[overlay], f"Namespace/{NAMESPACE[overlay]}")) == f"Namespace/{NAMESPACE[overlay]}"


@pytest.mark.parametrize("replicas", (2, 5))
def test_smoke_expects_the_replicas_of_the_deployment(tree: Path, tmp_path: Path, replicas: int) -> None:
    """The number stands once, in the Deployment."""
    copy = tmp_path / "k8s"
    shutil.copytree(tree, copy)
    deployment = copy / "base" / "backend" / "deployment.yaml"
    text = deployment.read_text()
    assert text.count("replicas: 2\n") == 1
    deployment.write_text(text.replace("replicas: 2\n", f"replicas: {replicas}\n"))
    (container,) = find(render(copy / "overlays" / "ci"), "Job/smoke")["spec"]["template"]["spec"]["containers"]
    assert {"name": "EXPECTED_REPLICAS", "value": str(replicas)} in container["env"]


def test_without_passwords_dev_and_ci_do_not_render(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "k8s"
    shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("database.env"))
    for overlay in ("dev", "ci"):
        with pytest.raises(RuntimeError, match=r"database\.env"):
            render(copy / "overlays" / overlay)
    assert render(copy / "overlays" / "production")
