"""Sends requests of all shapes that nobody means, and prints what came back as a line of JSON: the same for a seed.

Standard library alone: it runs in a pod. usage: fuzz.py --url http://frontend:8080 --inputs 10000 --seed 1
"""

import argparse
import http.client
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, urlsplit

PATIENCE = 20.0  # seconds; longer than nginx gives a client that has stopped in the middle
WRITES = 80.0  # a second; nginx refuses more than 100, and a refused one tries nothing
WORKERS = 4
# What nginx and the application may answer to what nobody means. 307 is for a slash too many, 501 for encodings that
# nginx does not know.
EXPECTED = {200, 307, 308, 400, 404, 405, 408, 411, 413, 414, 415, 422, 501, 505}
METHODS = (
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "X" * 40,
)
PATHS = (
    "/",
    "/api/todos/",
    "/api/todos/1",
    "/api/todos/-1",
    "/api/version",
    "/api/openapi.json",
    "/api/docs",
    "/healthz",
)
NAMES = (
    *("X-Request-ID", "Content-Type", "Content-Length", "Host", "Accept", "Accept-Encoding", "Range", "If-None-Match"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "Cookie", "Authorization", "Expect"),
    *("Upgrade", "Connection", "Origin", "Referer", "User-Agent", "X_Under", "", "Transfer-Encoding"),
)
PIECES = (
    *(
        b"'",
        b'"',
        b"<script>",
        b"\x00",
        b"\r\nX-Injected: yes",
        b"\nX-Injected: yes",
        b"%0d%0aX-Injected:%20yes",
        b"../",
    ),
    *(
        b"%2e%2e%2f",
        b"\xff\xfe",
        "\u202e\ud7ff".encode(),
        b"{{7*7}}",
        b"${jndi:ldap://x}",
        b"; DROP TABLE todo",
        b"%s%n",
    ),
    *(b"9" * 400, b"-0", b"1e309", b"NaN", b"null", b"A" * 9_000, b" ", b"\t", b"%", b"?", b"#", b"\\", b"//", b";"),
)


@dataclass(frozen=True)
class Input:
    """A request as it goes over the wire, and whether it can write."""

    request: bytes
    writes: bool


class Generator:
    """Makes inputs, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        """Begin."""
        self._random = random.Random(seed)  # noqa: S311 - no secret

    def inputs(self, number: int) -> Iterator[Input]:
        """Yield so many, of each kind as often as of the others."""
        kinds: list[Callable[[], Input]] = [self._path, self._headers, self._identifier, self._body, self._bytes]
        for place in range(number):
            yield kinds[place % len(kinds)]()

    def _noise(self, most: int = 3) -> bytes:
        pieces = [self._random.choice(PIECES) for _ in range(self._random.randint(1, most))]
        return b"".join([*pieces, self._random.randbytes(self._random.randint(0, 8))])

    def _request(self, method: str, path: bytes, *lines: bytes, body: bytes = b"") -> Input:
        head = b"\r\n".join(
            [method.encode() + b" " + path + b" HTTP/1.1", b"Host: frontend", b"Connection: close", *lines]
        )
        return Input(head + b"\r\n\r\n" + body, method in {"POST", "PUT", "DELETE", "PATCH"})

    def _path(self) -> Input:
        noise = self._noise()
        path = self._random.choice(PATHS).encode() + self._random.choice([b"", b"?limit=", b"?skip=", b"?"])
        # Encoded it reaches the application; as it is nginx has to read it.
        path += quote_from_bytes(noise).encode() if self._random.random() < 0.7 else noise.replace(b" ", b"")
        return self._request(self._random.choice(METHODS), path)

    def _headers(self) -> Input:
        names = [self._random.choice(NAMES).encode() for _ in range(self._random.randint(1, 12))]
        lines = [name + b": " + self._noise(2).replace(b"\r", b"").replace(b"\n", b"") for name in names]
        return self._request("GET", self._random.choice(PATHS).encode(), *lines)

    def _identifier(self) -> Input:
        return self._request("GET", b"/api/todos/?limit=1", b"X-Request-ID: " + self._noise().replace(b"\r\n", b""))

    def _body(self) -> Input:
        todo = {
            "title": self._value(),
            self._random.choice(["description", "completed", "id", "__proto__"]): self._value(),
        }
        text = json.dumps(self._random.choice([todo, [todo], self._value()]), ensure_ascii=self._random.random() < 0.5)
        body = text.encode(errors="surrogatepass")
        if self._random.random() < 0.4:
            place = self._random.randrange(len(body) + 1)
            body = body[:place] + self._noise(1) + body[place + self._random.randint(0, 4) :]
        kind = self._random.choice(
            [b"application/json", b"text/plain", b"application/json; charset=utf-16", b"", self._noise(1)]
        )
        lines = [b"Content-Length: %d" % len(body), b"Content-Type: " + kind.replace(b"\r", b"").replace(b"\n", b"")]
        method, path = self._random.choice(
            [("POST", b"/api/todos/"), ("PUT", b"/api/todos/1"), ("DELETE", b"/api/todos/0")]
        )
        return self._request(method, path, *lines, body=body)

    def _bytes(self) -> Input:
        request = bytearray(self._request("GET", self._random.choice(PATHS).encode()).request)
        for _ in range(self._random.randint(1, 6)):
            request[self._random.randrange(len(request))] = self._random.randrange(256)
        # With an end in any case, or nginx would wait for it.
        return Input(bytes(request) + b"\r\n\r\n", writes=False)

    def _value(self, depth: int = 0) -> object:
        values: list[object] = [
            None,
            True,
            -1,
            2**63,
            1e308,
            "",
            " ",
            "x" * 300,
            "\0",
            "\ud800",
            "é" * 200,
            [],
            {},
            "ok",
        ]
        value = self._random.choice(values)
        return [self._value(depth + 1), value] if depth < 60 and self._random.random() < 0.5 else value


def send(address: tuple[str, int], given: Input) -> tuple[int, str]:
    """Return the status of the answer, and what is wrong with it or empty."""
    method = "HEAD" if given.request.startswith(b"HEAD ") else "GET"
    try:
        with socket.create_connection(address, PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(given.request)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            response.read()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        # Hung up on: at once, or before all of the request was read.
        return 0, ""
    except (OSError, http.client.HTTPException) as error:
        # Whoever names no version of HTTP gets the body alone, as in its first one.
        is_of_the_first = b" HTTP/" not in given.request.splitlines()[0] and isinstance(
            error, http.client.BadStatusLine
        )
        return 0, "" if is_of_the_first else repr(error)
    if "X-Injected" in response.headers:
        return response.status, "a header was injected"
    if len(response.headers.get_all("X-Request-ID", [])) > 1:
        return response.status, "several request ids"
    if response.headers.get("Location", "/").startswith(("//", "http")):
        return response.status, f"leads to {response.headers['Location']}"
    return response.status, "" if response.status in EXPECTED else f"status {response.status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    parts = urlsplit(arguments.url)
    address = (parts.hostname or "", parts.port or 80)
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    next_write = time.monotonic()

    def settle(outcome: tuple[int, str], given: Input) -> None:
        statuses[outcome[0]] += 1
        if outcome[1]:
            faults.append(f"{outcome[1]}: {given.request[:300]!r}")

    with ThreadPoolExecutor(WORKERS) as threads:
        waiting = []
        for given in Generator(arguments.seed).inputs(arguments.inputs):
            if given.writes:
                time.sleep(max(next_write - time.monotonic(), 0))
                next_write = max(next_write, time.monotonic()) + 1 / WRITES
            waiting.append((threads.submit(send, address, given), given))
            if len(waiting) >= 2 * WORKERS:
                first, asked = waiting.pop(0)
                settle(first.result(), asked)
        for first, asked in waiting:
            settle(first.result(), asked)
    print(json.dumps({"inputs": arguments.inputs, "statuses": statuses, "faults": faults[:20], "faulty": len(faults)}))


if __name__ == "__main__":
    main()
