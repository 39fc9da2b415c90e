from pathlib import Path

import pytest

from tests.manifests.manifests import Manifest, find, labels
from tests.manifests.mutation import REMOVED, Place, mutated
from tests.manifests.schema import VERSION, violations

OVERLAYS = ("base", "dev", "ci", "production")


@pytest.mark.core
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_fits_the_api(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    assert [sentence for manifest in rendered[overlay] for sentence in violations(manifest)] == []


def test_every_overlay_is_tested(rendered: dict[str, list[Manifest]]) -> None:
    assert set(rendered) == set(OVERLAYS)


@pytest.mark.parametrize(
    ("wanted", "place", "value", "expected"),
    (
        ("Deployment/backend", ("spec", "replica"), 2, "'replica' was unexpected"),
        ("Deployment/backend", ("spec", "replicas"), "two", "'two' is not of type"),
        ("Deployment/backend", ("spec", "template", "spec", "containers", 0, "name"), REMOVED, "'name' is a required"),
        (
            "PodDisruptionBudget/backend",
            ("apiVersion",),
            "policy/v1beta1",
            "has no PodDisruptionBudget in policy/v1beta1",
        ),
        ("NetworkPolicy/backend", ("spec", "ingress", 0, "port"), 8000, "'port' was unexpected"),
    ),
)
def test_what_the_api_refuses_is_named(
    rendered: dict[str, list[Manifest]], wanted: str, place: Place, value: object, expected: str
) -> None:
    broken = mutated(rendered["ci"], wanted, place, value)
    sentences = [sentence for manifest in broken for sentence in violations(manifest)]
    assert len(sentences) == 1
    assert expected in sentences[0]


def test_all_errors_of_an_object_are_named(rendered: dict[str, list[Manifest]]) -> None:
    once = mutated(rendered["ci"], "Deployment/backend", ("spec", "replica"), 2)
    twice = mutated(once, "Deployment/backend", ("spec", "paused"), "no")
    assert len([sentence for manifest in twice for sentence in violations(manifest)]) == 2


def test_schemas_pod_security_and_cluster_are_of_one_version(rendered: dict[str, list[Manifest]]) -> None:
    assert (
        labels(find(rendered["base"], "Namespace/todo"))["pod-security.kubernetes.io/enforce-version"] == f"v{VERSION}"
    )
    assert f"kindest/node:v{VERSION}." in (Path(__file__).parents[2] / "ctlptl.yaml").read_text()
