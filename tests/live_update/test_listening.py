"""Whatever the loop listens on, it listens on for this machine alone."""

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster]

PROC = Path("/proc")
LISTEN = "0A"  # in /proc/net/tcp
# What `make up` starts, or has Docker start, and where it is to be found at least.
PROGRAMS = re.compile(rb"docker-proxy|\btilt\b|dashboard|fastlane|kubectl")
PORTS = {5005: "registry", 8080: "page", 10350: "Tilt", 10351: "dashboard"}


@dataclass(frozen=True)
class Listener:
    """A socket that takes connections, and the command line of a process that has it."""

    address: IPv4Address | IPv6Address
    port: int
    command: bytes


def test_nothing_of_it_listens_on_an_address_that_others_reach(loop: Loop) -> None:
    loop.until("the loop has settled", loop.is_settled)
    found = [listener for listener in listeners() if listener.port in PORTS or PROGRAMS.search(listener.command)]
    assert {PORTS[listener.port] for listener in found if listener.port in PORTS} == set(PORTS.values())
    assert [listener for listener in found if not is_loopback(listener.address)] == []


def test_a_listening_socket_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        (found,) = [listener for listener in listeners() if listener.port == opened.getsockname()[1]]
    assert (str(found.address), b"pytest" in found.command) == ("127.0.0.1", True)


@pytest.mark.parametrize("address", ("0.0.0.0", "192.0.2.1", "::", "::ffff:192.0.2.1", "fe80::1"))  # noqa: S104 - no listener
def test_other_addresses_are_no_loopback(address: str) -> None:
    assert not is_loopback(ip_address(address))


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def listeners() -> Iterator[Listener]:
    """Yield the listening sockets of this machine. Those of containers are in networks of their own."""
    commands = socket_owners()
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                words, port = fields[1].split(":")
                # Words of four bytes, each in the machine's order.
                packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
                yield Listener(ip_address(packed), int(port, 16), commands.get(fields[9], b""))


def socket_owners() -> dict[str, bytes]:
    """Return the command line of a process for the number of each socket that one has."""
    owners = {}
    for descriptor in PROC.glob("[0-9]*/fd/*"):
        try:
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                owners[found[1]] = (descriptor.parents[1] / "cmdline").read_bytes()
        except OSError:
            continue
    return owners
