"""The deployed application: its pods, what each of them serves, and the page in front of them."""

import http.client
import json
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
    return [_answer(pod.name, PORTS[component], path) for pod in pods(component)]


def _answer(pod: str, port: int, path: str) -> str | None:
    # Asked inside the pod, by bash: the API server's proxy rewrites the links of a page that it passes on.
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /{path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
    result = kubectl("--namespace", NAMESPACE, "exec", pod, "--", "timeout", str(PATIENCE), "bash", "-c", ask)
    head, _, body = result.stdout.partition("\n\n")
    status = head.split(maxsplit=2)[1:2]
    return body.replace(RELOAD_SCRIPT, "", 1) if result.returncode == 0 and status == ["200"] else None


def versions(key: str) -> list[str | None]:
    """Return what each backend pod tells of itself: its "code", its "commit". None for one that does not answer."""
    return [json.loads(answer)[key] if answer else None for answer in answers("backend", "version")]


def serves(checkout: Path, replicas: int = REPLICAS) -> bool:
    """Tell whether there are as many backend replicas, and all pods serve exactly the files of the checkout."""
    code = source_digest(checkout / "backend" / "app")
    return versions("code") == [code] * replicas and all(
        answers("frontend", name) == [(checkout / "frontend" / name).read_text()] * REPLICAS for name in STATIC
    )


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


def psql(statement: str) -> str:
    """Run the statement as the database's superuser; return what it prints."""
    command = ["psql", "--username=postgres", "--dbname=todo", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]
    result = kubectl("--namespace", NAMESPACE, "exec", "postgres-0", "--", *command, f"--command={statement}")
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
