"""Smoke test of a deployed todo application, through its front door only.

Runs as a Job on the Python standard library. Prints one line per check that passes; the first one that fails
prints what was expected and what was seen as the last line, and ends the process with 1.

Environment: BASE_URL (the front door), EXPECTED_REPLICAS (how many backends must answer), DENIED_ADDRESSES
("host:port ..." that network policies must keep this pod from).
"""
# ruff: noqa: INP001, T201 - one file in a ConfigMap whose output is the report

import contextlib
import http.client
import itertools
import json
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

READY_SECONDS = 120.0  # from the first request to an answer of the database through every layer
REPLICAS_SECONDS = 60.0  # for connections to have reached every replica
REQUEST_SECONDS = 20.0  # nginx waits 15 s for the backend before it answers itself
DENIED_SECONDS = 2.0  # far more than a connection inside the cluster takes
POLL_SECONDS = 0.2
SIMULTANEOUS_REQUESTS = 16
PAGE_SIZE = 500  # the most that one list request returns

CONTENT_SECURITY_POLICY = "default-src 'none'"
NO_SUCH_TODO = "/api/todos/2147483647"  # the largest identifier there can be


class CheckFailed(Exception):  # noqa: N818 - a verdict, not an error of this program
    """A check saw something else than it expected."""


def expect(what: str, expected: object, seen: object) -> None:
    """Raise CheckFailed, with all three in its text, unless expected equals seen."""
    if seen != expected:
        raise CheckFailed(f"{what}: expected {expected!r}, saw {seen!r}")


@dataclass(frozen=True)
class Answer:
    """An HTTP response that was read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON is whatever the server sent
        """Return the decoded body; raises CheckFailed if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise CheckFailed(f"body: expected JSON, saw {self.body[:200]!r}") from None


class Site:
    """The deployed application behind one address."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._address = urlsplit(base_url).netloc

    def request(self, method: str, path: str, value: object = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own, so that any replica may get it.

        value, unless None, is sent as JSON. Raises OSError or http.client.HTTPException when no answer comes.
        """
        body = None if value is None else json.dumps(value)
        sent = {"Content-Type": "application/json"} if body else {}
        connection = http.client.HTTPConnection(self._address, timeout=REQUEST_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, {**sent, **(headers or {}), "Connection": "close"})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def call(self, method: str, path: str, value: object = None) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the decoded body of an answer that must have status 200."""
        answer = self.request(method, path, value)
        expect(f"status of {method} {path} (body {answer.body[:200]!r})", 200, answer.status)
        return answer.json()

    def todos(self) -> Iterator[dict[str, Any]]:
        """Yield every todo, page by page."""
        for skip in itertools.count(0, PAGE_SIZE):
            page = self.call("GET", f"/api/todos/?skip={skip}&limit={PAGE_SIZE}")
            yield from page
            if len(page) < PAGE_SIZE:
                return

    @contextlib.contextmanager
    def todo(self, title: str, description: str) -> Iterator[dict[str, Any]]:
        """Create a todo and remove it afterwards if it is still there."""
        answer = self.request("POST", "/api/todos/", {"title": title, "description": description})
        try:
            expect("status of POST /api/todos/", 200, answer.status)
            yield answer.json()
        finally:
            self.remove_created(answer)

    def remove_created(self, answer: Answer) -> None:
        """Remove the todo that the answer to a POST describes, if it describes one and the site lets us."""
        with contextlib.suppress(CheckFailed, LookupError, TypeError, OSError, http.client.HTTPException):
            self.request("DELETE", f"/api/todos/{answer.json()['id']}")


def wait_until(what: str, seconds: float, attempt: Callable[[], str | None]) -> None:
    """Repeat attempt until it returns None; its text says what is missing.

    Raises CheckFailed with the last text after the given seconds.
    """
    deadline = time.monotonic() + seconds
    while missing := attempt():
        if time.monotonic() > deadline:
            raise CheckFailed(f"{what}: expected within {seconds:.0f} s, saw {missing}")
        time.sleep(POLL_SECONDS)


def check_ready(site: Site) -> None:
    """Wait until the page's server, the API and the database answer."""

    def attempt() -> str | None:
        try:
            answer = site.request("GET", "/api/todos/")
        except (OSError, http.client.HTTPException) as error:
            return f"{error!r} from {site.base_url}"
        return None if answer.status == HTTPStatus.OK else f"status {answer.status} with body {answer.body[:200]!r}"

    wait_until("GET /api/todos/ with status 200", READY_SECONDS, attempt)


def check_page(site: Site) -> None:
    """Expect the page and all that it names."""
    answer = site.request("GET", "/")
    expect("status of GET /", 200, answer.status)
    expect_assets(site, "/", answer.body.decode())


def check_documentation(site: Site) -> None:
    """Expect the API's documentation and all that it names."""
    answer = site.request("GET", "/api/docs")
    expect("status of GET /api/docs", 200, answer.status)
    expect_assets(site, "/api/docs", answer.body.decode())
    paths = site.call("GET", "/api/openapi.json")["paths"]
    expect("paths /todos/ in /api/openapi.json", ["/todos/"], [path for path in paths if path == "/todos/"])


def expect_assets(site: Site, path: str, page: str) -> None:
    """Expect every script, style and image that the page names, from this site."""
    assets = [
        name
        for tag in re.findall(r"<(?:script|link|img)\b[^>]*>", page)
        for name in re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", tag)
        if not name.startswith("data:")
    ]
    if not assets:
        raise CheckFailed(f"scripts and styles named by {path}: expected some, saw none in {page[:200]!r}")
    for asset in assets:
        url = urljoin(site.base_url + path, asset)
        expect(f"site of {asset}, named by {path}", urlsplit(site.base_url).netloc, urlsplit(url).netloc)
        expect(f"status of {url}, named by {path}", 200, site.request("GET", urlsplit(url).path).status)


def check_headers(site: Site) -> None:
    """Expect security headers on good and bad answers, of nginx and of the API."""
    for path, status in (("/", 200), ("/no-such-page", 404), ("/api/todos/", 200), (NO_SUCH_TODO, 404)):
        answer = site.request("GET", path)
        expect(f"status of GET {path}", status, answer.status)
        policies = answer.headers.get_all("Content-Security-Policy", [])
        expect(f"number of Content-Security-Policy headers on {path}", 1, len(policies))
        expect(f"first rule of Content-Security-Policy on {path}", CONTENT_SECURITY_POLICY, policies[0].split(";")[0])
        expect(f"X-Content-Type-Options on {path}", ["nosniff"], answer.headers.get_all("X-Content-Type-Options"))
        expect(f"Referrer-Policy set once on {path}", 1, len(answer.headers.get_all("Referrer-Policy", [])))


def check_request_identifier(site: Site) -> None:
    """Expect a request's own identifier back, once, and a new one where a request brings none."""
    own = f"smoke-{uuid.uuid4()}"
    answer = site.request("GET", "/api/todos/", headers={"X-Request-ID": own})
    expect("X-Request-ID of a request that brought one", [own], answer.headers.get_all("X-Request-ID"))
    made = [one for _ in range(2) for one in site.request("GET", "/api/todos/").headers.get_all("X-Request-ID", [])]
    expect("X-Request-ID headers made for two requests", 2, len(made))
    expect(f"different ones among {made}", 2, len(set(made)))


def check_todo(site: Site) -> None:
    """Create, read, list, update and delete a todo, then miss it."""
    title = f"smoke {uuid.uuid4()}"
    with site.todo(title, "made by the smoke test") as created:
        path = f"/api/todos/{created['id']}"
        todo = {"id": created["id"], "title": title, "description": "made by the smoke test", "completed": False}
        expect("created todo", todo, created)
        expect("read todo", todo, site.call("GET", path))
        expect("listed todos with its id", [todo], [one for one in site.todos() if one["id"] == created["id"]])
        todo["completed"] = True
        expect("updated todo", todo, site.call("PUT", path, {"completed": True}))
        expect("todo read after the update", todo, site.call("GET", path))
        expect("deleted todo", todo, site.call("DELETE", path))
        answer = site.request("GET", path)
        expect("status of a deleted todo", 404, answer.status)
        expect("body of a deleted todo", {"detail": "Todo not found"}, answer.json())


def check_bad_input(site: Site) -> None:
    """Expect an empty title to be refused with a reason."""
    answer = site.request("POST", "/api/todos/", {"title": ""})
    site.remove_created(answer)
    expect("status of a todo with an empty title", 422, answer.status)
    expect("field named in the refusal", ["body", "title"], answer.json()["detail"][0]["loc"])


def check_replicas(site: Site, expected: int) -> None:
    """Expect answers of every replica, all with the same code."""
    codes: dict[str, str] = {}

    # At the same time, because nginx keeps a connection to one replica and sends requests in turn over it.
    with ThreadPoolExecutor(SIMULTANEOUS_REQUESTS) as pool:

        def attempt() -> str | None:
            for version in pool.map(lambda _: site.call("GET", "/api/version"), range(SIMULTANEOUS_REQUESTS)):
                codes[version["pod"]] = version["code"]
            return None if len(codes) >= expected else f"{len(codes)}: {', '.join(sorted(codes))}"

        wait_until(f"answers of {expected} replicas", REPLICAS_SECONDS, attempt)
    expect("number of different codes among the replicas", 1, len(set(codes.values())))


def check_denied(addresses: list[str]) -> None:
    """Expect no answer from what the network policies forbid."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.getaddrinfo(host, int(port))
        except OSError as error:
            raise CheckFailed(f"name of {address}: expected to resolve, saw {error}") from None
        try:
            socket.create_connection((host, int(port)), timeout=DENIED_SECONDS).close()
        except OSError:
            continue
        raise CheckFailed(f"connection to {address}: expected to be denied by a network policy, saw it accepted")


def main() -> int:
    """Run every check; return the process's exit status."""
    site = Site(os.environ["BASE_URL"])
    replicas = int(os.environ["EXPECTED_REPLICAS"])
    denied = os.environ["DENIED_ADDRESSES"].split()
    checks: dict[str, Callable[[], None]] = {
        "page, API and database answer": lambda: check_ready(site),
        "the page and its files": lambda: check_page(site),
        "security headers": lambda: check_headers(site),
        "request identifiers": lambda: check_request_identifier(site),
        "create, read, list, update, delete": lambda: check_todo(site),
        "bad input is refused": lambda: check_bad_input(site),
        "documentation": lambda: check_documentation(site),
        f"{replicas} replicas answer": lambda: check_replicas(site, replicas),
        f"denied: {' '.join(denied) or 'nothing named'}": lambda: check_denied(denied),
    }
    for name, check in checks.items():
        try:
            check()
        except (CheckFailed, OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
            detail = (
                error if isinstance(error, CheckFailed) else f"expected an answer of the agreed shape, saw {error!r}"
            )
            print(f"FAILED {name}: {detail}", flush=True)
            return 1
        print(f"ok     {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
