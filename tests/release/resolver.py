"""The machine's resolver: the stand-in internet's names are here, all others are asked for outside.

usage: python3 -m tests.release.resolver ADDRESS UPSTREAM [--outside-alone]
"""

import socket
import struct
import sys
import threading
from collections.abc import Mapping

from tests.release.names import ADDRESSES

PORT = 53
PATIENCE = 10.0  # seconds
A, IN = 1, 1
SECONDS_TO_LIVE = 60


def main(address: str, upstream: str, names: Mapping[str, str]) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, PORT))
    while True:
        query, client = server.recvfrom(4096)
        threading.Thread(target=respond, args=(server, query, client, upstream, names), daemon=True).start()


def respond(
    server: socket.socket, query: bytes, client: tuple[str, int], upstream: str, names: Mapping[str, str]
) -> None:
    name, kind, end = question(query)
    if name in names:
        server.sendto(answer(query[:end], names[name] if kind == A else ""), client)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.settimeout(PATIENCE)
        outside.sendto(query, (upstream, PORT))
        # Without an answer the client asks again, as it would anywhere.
        try:
            server.sendto(outside.recv(4096), client)
        except TimeoutError:
            return


def question(query: bytes) -> tuple[str, int, int]:
    """Return the first question's name and type, and where it ends."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels).lower(), kind, position + 5


def answer(query: bytes, address: str) -> bytes:
    """Return the response with the address, or with none where there is none of the type that was asked for."""
    header = struct.pack("!2sHHHHH", query[:2], 0x8580, 1, 1 if address else 0, 0, 0)
    record = struct.pack("!HHHIH4s", 0xC00C, A, IN, SECONDS_TO_LIVE, 4, socket.inet_aton(address)) if address else b""
    return header + query[12:] + record


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], {} if sys.argv[3:] else ADDRESSES)
