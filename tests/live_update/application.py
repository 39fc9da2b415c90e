"""The deployed application: its pods, what each of them serves, and the page in front of them."""

import http.client
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.version import source_digest
from tests.e2e.kubectl import kubectl

NAMESPACE = "todo"
PORTS = {"backend": 8000, "frontend": 8080}
# The browser's reload is the third.
DEPLOYMENTS = len(PORTS) + 1
# As in the manifests.
REPLICAS = 2
# Seconds that one request may take; a server that reloads may hang for a moment.
PATIENCE = 10
# What the frontend serves as it is in the folder.
STATIC = ("index.html", "style.css", "app.js")
# What the browser's reload puts into every page on its way out.
RELOAD_SCRIPT = '<script src="/_dev/reload.js" type="module"></script>'


@dataclass(frozen=True, order=True)
class Pod:
    """One pod. Equal to an earlier look at it when neither it nor one of its containers was replaced or restarted."""

    name: str
    uid: str
    images: tuple[str, ...]
    restarts: int
    labels: dict[str, str] = field(compare=False)
    ready: bool = field(compare=False)
    # Since when it has been ready, or not.
    since: str = field(compare=False)


@dataclass(frozen=True)
class Answer:
    """What a request to the page got."""

    status: int
    retry_after: str | None
    body: str


def pods(component: str) -> list[Pod]:
    """Return the component's pods by name, without those that are on their way out."""
    selector = f"app.kubernetes.io/component={component}"
    result = kubectl("--namespace", NAMESPACE, "get", "pods", "--selector", selector, "--output", "json")
    if result.returncode:
        raise ConnectionError(result.stderr)
    items = json.loads(result.stdout)["items"]
    return sorted(_pod(item) for item in items if "deletionTimestamp" not in item["metadata"])


def _pod(item: dict[str, Any]) -> Pod:
    statuses = item["status"].get("containerStatuses", [])
    (ready,) = [c for c in item["status"].get("conditions", []) if c["type"] == "Ready"] or [{}]
    return Pod(
        name=item["metadata"]["name"],
        uid=item["metadata"]["uid"],
        images=tuple(status["imageID"] for status in statuses),
        restarts=sum(status["restartCount"] for status in statuses),
        labels=item["metadata"]["labels"],
        ready=ready.get("status") == "True",
        since=ready.get("lastTransitionTime", ""),
    )


def answers(component: str, path: str) -> list[str | None]:
    """Return what each of the component's pods itself serves under the path, pages without the browser's reload.

    None for one that does not answer 200.
    """
    return [answer for (answer,) in _ask_all({component: (path,)})[component]]


def _ask_all(questions: Mapping[str, Sequence[str]]) -> dict[str, list[list[str | None]]]:
    """Return for each component what each of its pods serves under each path."""
    # At the same time, for nearly all of a second is the start of programs.
    with ThreadPoolExecutor() as threads:
        asked = {
            component: [threads.submit(_ask, pod.name, PORTS[component], paths) for pod in pods(component)]
            for component, paths in questions.items()
        }
        return {component: [future.result() for future in futures] for component, futures in asked.items()}


def _ask(pod: str, port: int, paths: Sequence[str]) -> list[str | None]:
    # Asked inside the pod, by bash: the API server's proxy rewrites the links of a page that it passes on.
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /%s HTTP/1.0\\r\\n\\r\\n' $path >&3 && cat <&3"
    script = f"for path; do {ask}; printf '\\0'; done"
    inside = ("timeout", str(PATIENCE), "bash", "-c", script, "bash", *paths)
    result = kubectl("--namespace", NAMESPACE, "exec", pod, "--", *inside)
    responses = result.stdout.split("\0")[: len(paths)] if result.returncode == 0 else []
    return [_body(response) for response in responses] or [None] * len(paths)


def _body(response: str) -> str | None:
    head, _, body = response.partition("\n\n")
    return body.replace(RELOAD_SCRIPT, "", 1) if head.split(maxsplit=2)[1:2] == ["200"] else None


def versions(key: str) -> list[str | None]:
    """Return what each backend pod tells of itself: its "code", its "commit". None for one that does not answer."""
    return [_version(answer, key) for answer in answers("backend", "version")]


def _version(answer: str | None, key: str) -> str | None:
    version: str | None = json.loads(answer)[key] if answer else None
    return version


def serves(checkout: Path, replicas: int = REPLICAS) -> bool:
    """Tell whether there are as many backend replicas, and all pods serve exactly the files of the checkout."""
    code = source_digest(checkout / "backend" / "app")
    served = _ask_all({"backend": ("version",), "frontend": STATIC})
    if [_version(answer, "code") for (answer,) in served["backend"]] != [code] * replicas:
        return False
    return served["frontend"] == [[(checkout / "frontend" / name).read_text() for name in STATIC]] * REPLICAS


def is_rolled_out() -> bool:
    """Tell whether each Deployment has its pods, of its newest template, ready and available, and no other is left."""
    result = kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment", "--watch=false")
    lines = result.stdout.splitlines()
    if len(lines) != DEPLOYMENTS or not all("successfully rolled out" in line for line in lines):
        return False
    # One that is on its way out still takes processor time, and its end changes the network's rules.
    ends = "jsonpath={.items[*].metadata.deletionTimestamp}"
    leaving = kubectl("--namespace", NAMESPACE, "get", "pods", "--output", ends)
    return leaving.returncode == 0 and not leaving.stdout


def psql(statement: str, namespace: str = NAMESPACE) -> str:
    """Run the statement as the database's superuser; return what it prints."""
    command = ["psql", "--username=postgres", "--dbname=todo", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]
    result = kubectl("--namespace", namespace, "exec", "postgres-0", "--", *command, f"--command={statement}")
    if result.returncode:
        raise ConnectionError(result.stderr)
    return result.stdout.strip()


def request(method: str, path: str, body: object = None) -> Answer:
    """Send one request to the page, as a browser on this machine does. Raises OSError when there is no answer."""
    connection = http.client.HTTPConnection("localhost", 8080, timeout=PATIENCE)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Retry-After"), response.read().decode())
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def create_todo(title: str) -> int:
    """Add a todo through the page; return its number."""
    answer = request("POST", "/api/todos/", {"title": title})
    if answer.status != 200:
        raise AssertionError(f"POST /api/todos/ was answered {answer}")
    number: int = json.loads(answer.body)["id"]
    return number


def take_todo(number: int) -> str:
    """Delete the todo through the page; return the title that it had."""
    answer = request("DELETE", f"/api/todos/{number}")
    if answer.status != 200:
        raise AssertionError(f"DELETE /api/todos/{number} was answered {answer}")
    title: str = json.loads(answer.body)["title"]
    return title
