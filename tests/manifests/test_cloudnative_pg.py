"""An operator's cluster in the place of the one PostgreSQL: what else there is finds it, by name and by label."""

from pathlib import Path

import pytest

from tests.manifests.manifests import Manifest, find, identity, of_kind, render
from tests.manifests.schema import violations

KUSTOMIZATION = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: todo
resources: [../../base]
components: [../../components/cloudnative-pg]
"""


@pytest.fixture
def manifests(tree: Path) -> list[Manifest]:
    folder = tree / "overlays" / "cloudnative-pg"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION)
    try:
        return render(folder)
    finally:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()


def test_it_takes_the_place_of_the_one_instance(manifests: list[Manifest], rendered: dict[str, list[Manifest]]) -> None:
    names, base = ({identity(each) for each in objects} for objects in (manifests, rendered["base"]))
    assert base - names == {
        *("StatefulSet/postgres", "Service/postgres", "ServiceAccount/postgres", "NetworkPolicy/postgres"),
        "ConfigMap/postgres-roles",
    }
    assert names - base == {"Cluster/postgres", "NetworkPolicy/database"}
    assert [problem for each in manifests if each["kind"] != "Cluster" for problem in violations(each)] == []


def test_the_application_finds_it(manifests: list[Manifest]) -> None:
    cluster = find(manifests, "Cluster/postgres")
    address: str = find(manifests, "ConfigMap/database")["data"]["address"]
    # The operator's Service for whichever instance is the primary.
    assert address.startswith(
        f"{cluster['metadata']['name']}-rw:5432/{cluster['spec']['bootstrap']['initdb']['database']}?"
    )
    labels = {"cnpg.io/cluster": "postgres", **cluster["spec"]["inheritedMetadata"]["labels"]}
    for client in ("backend", "migrate"):
        peers = find(manifests, f"NetworkPolicy/{client}")["spec"]["egress"][0]["to"]
        assert all(peer["podSelector"]["matchLabels"].items() <= labels.items() for peer in peers)
    policy = find(manifests, "NetworkPolicy/database")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    clients = [peer["podSelector"]["matchLabels"] for peer in policy["ingress"][0]["from"]]
    templates = [each["spec"]["template"] for each in of_kind(manifests, "Deployment", "Job")]
    named = [template["metadata"]["labels"]["app.kubernetes.io/component"] for template in templates]
    assert [client["app.kubernetes.io/component"] for client in clients] == ["backend", "migrate"]
    assert {"backend", "migrate"} <= set(named)
