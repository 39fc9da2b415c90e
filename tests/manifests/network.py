"""Which connections the NetworkPolicies of a rendered overlay allow, computed the way the cluster does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.manifests.manifests import COMPONENT, Manifest, labels, of_kind, pods, selects

Path = tuple[str, str, str]  # from, to, port such as 8000 or 53/UDP

BOTH = ("Egress", "Ingress")
DNS_PORTS = ("53", "53/UDP")
SOME_OTHER_PORT = "1"  # only a rule without ports allows it


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection. Those outside are under no policy of ours."""

    name: str
    outside: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    namespace_labels: dict[str, str] = field(default_factory=dict)
    address: str = "203.0.113.9"
    ports: tuple[str, ...] = ()


OUTSIDE = (
    Endpoint(
        "dns",
        labels={"k8s-app": "kube-dns"},
        namespace_labels={"kubernetes.io/metadata.name": "kube-system"},
        ports=DNS_PORTS,
    ),
    Endpoint("kube-system", namespace_labels={"kubernetes.io/metadata.name": "kube-system"}, ports=DNS_PORTS),
    Endpoint("monitoring", namespace_labels={"kubernetes.io/metadata.name": "monitoring"}),
    Endpoint("database", address="192.0.2.1", ports=("5432",)),
    Endpoint("internet", ports=("443", "5432", *DNS_PORTS)),
)


def endpoints(manifests: list[Manifest]) -> Iterator[Endpoint]:
    """Yield one endpoint per workload, and those outside."""
    for each in pods(manifests):
        ports = tuple(str(port["containerPort"]) for port in each.ports)
        own = labels(each.template)
        yield Endpoint(own[COMPONENT], outside=False, labels=own, address="", ports=ports)
    yield from OUTSIDE


def allowed_paths(manifests: list[Manifest], directions: tuple[str, ...] = BOTH) -> set[Path]:
    """Return every connection that the policies allow, between pods and from and to the outside.

    With one direction, what that side alone would allow: Egress for the sender's, Ingress for the receiver's.
    """
    policies = [policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")]
    all_endpoints = list(endpoints(manifests))
    return {
        (source.name, target.name, port)
        for source in all_endpoints
        for target in all_endpoints
        if source is not target and not (source.outside and target.outside)
        for port in (*target.ports, SOME_OTHER_PORT)
        if ("Egress" not in directions or allows(policies, "Egress", source, target, port))
        and ("Ingress" not in directions or allows(policies, "Ingress", target, source, port))
    }


def allows(policies: list[Manifest], direction: str, own: Endpoint, peer: Endpoint, port: str) -> bool:
    """Tell whether own may have this connection; a pod that no policy selects in a direction may have any."""
    if own.outside:
        return True
    governing = [
        policy
        for policy in policies
        if direction in policy["policyTypes"] and selects(policy["podSelector"], own.labels)
    ]
    side, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    rules = [rule for policy in governing for rule in policy.get(side, [])]
    return not governing or any(
        (peers not in rule or any(is_peer(one, peer) for one in rule[peers])) and is_port(rule, port) for rule in rules
    )


def is_peer(stated: Manifest, peer: Endpoint) -> bool:
    """Tell whether a peer of a rule is this endpoint."""
    if "ipBlock" in stated:
        return bool(peer.address) and ip_address(peer.address) in ip_network(stated["ipBlock"]["cidr"])
    in_namespace = (
        selects(stated["namespaceSelector"], peer.namespace_labels)
        if "namespaceSelector" in stated
        else not peer.outside
    )
    return in_namespace and selects(stated.get("podSelector", {}), peer.labels)


def is_port(rule: Manifest, port: str) -> bool:
    """Tell whether a rule covers this port; one without ports covers all."""
    stated = rule.get("ports")
    written = {f"{one['port']}/UDP" if one.get("protocol") == "UDP" else str(one["port"]) for one in stated or []}
    return stated is None or port in written
