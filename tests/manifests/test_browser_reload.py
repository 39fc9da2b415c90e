"""The names by which browser-reload and its neighbours find each other, which stand outside the manifests."""

from pathlib import Path

import pytest

from tests.manifests.manifests import Manifest, find

ROOT = Path(__file__).parents[2]


def port(service: Manifest) -> int:
    return int(service["spec"]["ports"][0]["port"])


def test_nginx_asks_the_service(rendered: dict[str, list[Manifest]]) -> None:
    service = find(rendered["dev"], "Service/browser-reload")
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    configuration = (ROOT / "frontend" / "browser_reload" / "nginx.conf").read_text()
    assert f"set $browser_reload {name}.{namespace}.svc.cluster.local;" in configuration
    assert f"proxy_pass http://$browser_reload:{port(service)};" in configuration


@pytest.mark.parametrize("component", ("backend", "frontend"))
def test_the_service_finds_all_pods(rendered: dict[str, list[Manifest]], component: str) -> None:
    service = find(rendered["dev"], f"Service/{component}-pods")
    argument = f'"--{component}", "{service["metadata"]["name"]}:{port(service)}"'
    assert argument in (ROOT / "docker" / "backend.Dockerfile").read_text()
    assert service["spec"]["clusterIP"] == "None"
    # A backend that cannot start is not ready.
    assert service["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("overlay", ("base", "ci", "production"))
def test_nothing_of_it_is_elsewhere(rendered: dict[str, list[Manifest]], overlay: str) -> None:
    assert "browser-reload" in str(rendered["dev"])
    assert "browser-reload" not in str(rendered[overlay])
