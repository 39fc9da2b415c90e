"""Which pods run, as the cluster tells it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlencode

from fastlane.process import Program
from fastlane.trouble import Trouble


class Pod(NamedTuple):
    """A pod whose container runs. A restarted container makes it another one: it has the image's files again."""

    name: str
    container_id: str


class Cluster:
    """The cluster that kubectl talks to, as far as it concerns one container of some pods."""

    def __init__(self, kubectl: Sequence[str], namespace: str, selector: str, container: str) -> None:
        """kubectl: the command, with the options that choose the cluster. selector: labels of the pods."""
        self._kubectl = kubectl
        self._namespace = namespace
        self._selector = selector
        self._container = container

    async def follow(self, update: Callable[[frozenset[Pod]], None], works: Callable[[], None]) -> NoReturn:
        """Call `update` with the pods in which the container runs, first at once. Raises Trouble.

        Lists, then watches from the list's version on, as Kubernetes' own clients do: no change falls in between.
        """
        async with Program.started(self._get()) as program:
            listing = await program.output()
        items = {item["metadata"]["name"]: item for item in listing["items"]}
        update(_running(items.values(), self._container))
        works()
        version = listing["metadata"]["resourceVersion"]
        async with Program.started(self._get(watch="true", resourceVersion=version)) as program:
            while True:
                event = await program.line()
                item = event["object"]
                if event["type"] == "ERROR":
                    # Such as a version that is too old to watch from.
                    raise Trouble(item["message"])
                items[item["metadata"]["name"]] = item
                if event["type"] == "DELETED":
                    del items[item["metadata"]["name"]]
                update(_running(items.values(), self._container))

    def execution(self, pod: Pod, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one in the container, with its standard input."""
        options = ["--namespace", self._namespace, "--container", self._container]
        return [*self._kubectl, "exec", "--stdin", *options, pod.name, "--", *command]

    def _get(self, **query: str) -> list[str]:
        # The API itself: what `kubectl get --watch` prints does not tell where the list ends.
        selected = urlencode({"labelSelector": self._selector, **query})
        return [*self._kubectl, "get", "--raw", f"/api/v1/namespaces/{self._namespace}/pods?{selected}"]


def _running(items: Iterable[dict[str, Any]], container: str) -> frozenset[Pod]:
    return frozenset(
        Pod(item["metadata"]["name"], status["containerID"])
        for item in items
        if "deletionTimestamp" not in item["metadata"]
        for status in item["status"].get("containerStatuses", [])
        if status["name"] == container and "running" in status["state"]
    )
