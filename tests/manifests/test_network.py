import pytest

from tests.manifests.manifests import Manifest, find, of_kind
from tests.manifests.mutation import REMOVED, mutated
from tests.manifests.network import DNS_PORTS, OUTSIDE, Path, allowed_paths, endpoints


def resolving(*names: str) -> set[Path]:
    return {(name, "dns", port) for name in names for port in DNS_PORTS}


EVERYWHERE = {
    *((outside.name, "frontend", "8080") for outside in OUTSIDE),
    ("frontend", "backend", "8000"),
    ("monitoring", "backend", "9000"),
    *resolving("frontend", "backend", "migrate"),
}
DATABASE_INSIDE = {("backend", "postgres", "5432"), ("migrate", "postgres", "5432")}
DATABASE_OUTSIDE = {("backend", "database", "5432"), ("migrate", "database", "5432")}
BROWSER_RELOAD = {
    ("frontend", "browser-reload", "8000"),
    ("browser-reload", "backend", "8000"),
    ("browser-reload", "frontend", "8080"),
    *resolving("browser-reload"),
}
BACKUP = {("backup", "postgres", "5432"), *resolving("backup")}
SMOKE = {("smoke", "frontend", "8080"), *resolving("smoke")}

EXPECTED: dict[str, set[Path]] = {
    "dev": EVERYWHERE | DATABASE_INSIDE | BROWSER_RELOAD,
    "ci": EVERYWHERE | DATABASE_INSIDE | SMOKE | BACKUP,
    "production": EVERYWHERE | DATABASE_OUTSIDE,
}


@pytest.mark.parametrize("overlay", EXPECTED)
def test_exactly_the_needed_paths_are_allowed(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    assert allowed_paths(rendered[overlay]) == EXPECTED[overlay]


@pytest.mark.parametrize("overlay", EXPECTED)
def test_every_policy_and_every_rule_is_needed(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    for policy in of_kind(rendered[overlay], "NetworkPolicy"):
        identity = f"NetworkPolicy/{policy['metadata']['name']}"
        places = [
            (),
            *((side, index) for side in ("ingress", "egress") for index in range(len(policy["spec"].get(side, [])))),
        ]
        for place in places:
            without = mutated(rendered[overlay], identity, ("spec", *place) if place else (), REMOVED)
            assert allowed_paths(without) != EXPECTED[overlay], f"{identity} {place} is not needed"


@pytest.mark.parametrize(
    "denied",
    (
        ("frontend", "postgres", "5432"),
        ("smoke", "backend", "8000"),
        ("smoke", "postgres", "5432"),
        ("frontend", "backend", "9000"),
        ("internet", "backend", "8000"),
        ("postgres", "internet", "443"),
        ("backend", "internet", "443"),
        ("backend", "kube-system", "53/UDP"),
    ),
)
def test_a_path_is_denied_and_would_be_there_without_policies(
    rendered: dict[str, list[Manifest]], denied: Path
) -> None:
    open_to_all = [manifest for manifest in rendered["ci"] if manifest["kind"] != "NetworkPolicy"]
    assert denied in allowed_paths(open_to_all)
    assert denied not in allowed_paths(rendered["ci"])


@pytest.mark.parametrize("overlay", EXPECTED)
def test_each_side_alone_would_do(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    """A gap in one policy must not be hidden by the policy at the other end."""
    inside = {endpoint.name for endpoint in endpoints(rendered[overlay])} - {outside.name for outside in OUTSIDE}
    expected = between(inside, EXPECTED[overlay])
    front_door = {(name, "frontend", "8080") for name in inside - {"frontend"}}
    assert between(inside, allowed_paths(rendered[overlay], ("Egress",))) == expected
    assert between(inside, allowed_paths(rendered[overlay], ("Ingress",))) == expected | front_door


def between(names: set[str], paths: set[Path]) -> set[Path]:
    return {path for path in paths if {path[0], path[1]} <= names}


@pytest.mark.parametrize(
    ("policy", "direction", "rule", "opened"),
    (
        ("postgres", "Ingress", {}, ("internet", "postgres", "5432")),
        ("postgres", "Ingress", {"from": [{"podSelector": {}}]}, ("frontend", "postgres", "5432")),
        ("postgres", "Ingress", {"from": [{"namespaceSelector": {}}]}, ("monitoring", "postgres", "1")),
        ("frontend", "Egress", {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}, ("frontend", "internet", "443")),
        ("migrate", "Egress", {"ports": [{"port": 53, "protocol": "UDP"}]}, ("migrate", "internet", "53/UDP")),
    ),
)
def test_a_rule_too_many_is_seen(
    rendered: dict[str, list[Manifest]], policy: str, direction: str, rule: Manifest, opened: Path
) -> None:
    rules = [*find(rendered["ci"], f"NetworkPolicy/{policy}")["spec"][direction.lower()], rule]
    broken = mutated(rendered["ci"], f"NetworkPolicy/{policy}", ("spec", direction.lower()), rules)
    assert opened in allowed_paths(broken, (direction,)) - allowed_paths(rendered["ci"], (direction,))
