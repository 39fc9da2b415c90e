"""All that the page shows, kept up to date while Tilt, the cluster and the page itself come and go."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from dashboard.cluster import Pods, probe
from dashboard.logs import Line, Logs
from dashboard.saves import Saves, Syncs
from dashboard.state import Facts, describe_buttons, describe_resources, overall
from dashboard.tilt import AwayError, Tilt

# Seconds.
_RETRY = 1.0
_SETTLE = 0.25
# What is followed of Tilt's objects, in its API's plurals.
KINDS = ("uiresources", "uibuttons", "kubernetesdiscoveries", "filewatches", "liveupdates")

_logger = logging.getLogger("dashboard")


@dataclass(frozen=True)
class Settings:
    """What is watched. page and probed: addresses. versions: the resource whose pods answer to /version."""

    checkout: Path
    project: str
    page: str
    probed: str
    versions: str
    has_page: bool


class Model:
    """The present state and the past, for any number of open pages."""

    def __init__(self, settings: Settings, tilt: Tilt, pods: Pods, now: Callable[[], float] | None = None) -> None:
        """Begin with nothing known. now: tells the time in milliseconds since 1970."""
        self._now = now or _now
        self.settings = settings
        self.logs = Logs()
        self.saves = Saves(settings.checkout)
        self._tilt = tilt
        self._pods = pods
        self._objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self._codes: dict[str, str] = {}
        # Of all but the log lines; these have numbers of their own.
        self.revision = 0
        self._away: str | None = "it has not been asked yet"
        self._version = ""
        self._listeners: set[asyncio.Event] = set()
        self._ask_pods = asyncio.Event()

    async def run(self) -> NoReturn:
        """Follow everything for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_logs())
            for kind in KINDS:
                tasks.create_task(self._follow_objects(kind))
            tasks.create_task(self._follow_versions())
            tasks.create_task(self._settle())
            tasks.create_task(probe(self.settings.probed, self._is_urgent, self._note_request))
        raise AssertionError("following ends never")

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """Provide an event that is set whenever something has changed."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)

    def state(self) -> dict[str, Any]:
        """Return the page's form of the present state."""
        connected = self._away is None
        buttons = list(self._objects["uibuttons"].values())
        facts = Facts(self._objects["kubernetesdiscoveries"], buttons, self._codes, self.saves.unserved(), self._tail)
        resources = describe_resources(self._objects["uiresources"].values(), facts)
        return {
            "tilt": {
                "connected": connected,
                "error": self._away,
                "url": f"http://localhost:{self._tilt.port}",
                "hasPage": self.settings.has_page,
                "version": self._version,
            },
            "page": self.settings.page,
            "project": self.settings.project,
            "overall": overall(resources, connected=connected),
            "resources": resources,
            "buttons": describe_buttons(buttons, "Global"),
        }

    def take_view(self, view: dict[str, Any]) -> None:
        """Take in one message of Tilt's log stream."""
        was_away, self._away = self._away, None
        build = ((view.get("uiSession") or {}).get("status") or {}).get("runningTiltBuild") or {}
        self._version = build.get("version") or self._version
        lines = self.logs.take(view)
        for line in lines:
            self._hear(line)
        # An error's last lines are part of the state.
        if was_away or any(line.level == "error" or line.text.startswith(("warmfork", "fast lane")) for line in lines):
            self.revision += 1
        self._notify()

    def take_object(self, kind: str, event: str, one: dict[str, Any]) -> None:
        """Take in one event of Tilt's API server."""
        known = self._objects[kind]
        if event == "ALL":
            known.clear()
        if event == "DELETED":
            known.pop(one["metadata"]["name"], None)
        else:
            for item in one["items"] if event == "ALL" else [one]:
                known[item["metadata"]["name"]] = item
                self._understand(kind, item)
        self._has_changed()

    def _understand(self, kind: str, one: dict[str, Any]) -> None:
        resource = (one["metadata"].get("annotations") or {}).get("tilt.dev/resource", "")
        if kind == "filewatches":
            self.saves.watch(one)
        elif kind == "uiresources":
            self.saves.record(one, self._now())
        elif kind == "liveupdates":
            self.saves.knows_syncs(resource, Syncs.of(one))
        elif kind == "kubernetesdiscoveries":
            name, pods = one["metadata"]["name"], (one.get("status") or {}).get("pods") or []
            self.saves.roll_out(name, pods, self._now())
            if name == self.settings.versions:
                self._ask_pods.set()

    def _hear(self, line: Line) -> None:
        self.saves.hear(line)
        if line.resource == self.settings.versions and line.text.startswith("warmfork:"):
            self._ask_pods.set()

    def _is_urgent(self) -> bool:
        return self.saves.is_under_way(self._now())

    def _note_request(self, moment: float, ok: bool) -> None:  # noqa: FBT001
        self.saves.request(moment, ok=ok)
        self._has_changed()

    async def _follow_logs(self) -> NoReturn:
        while True:
            try:
                async for view in self._tilt.views():
                    self.take_view(view)
            except AwayError as error:
                self._away = str(error)
                self._has_changed()
            await asyncio.sleep(_RETRY)

    async def _follow_objects(self, kind: str) -> NoReturn:
        while True:
            try:
                async for event, one in self._tilt.objects(kind):
                    self.take_object(kind, event, one)
            except AwayError as error:
                _logger.debug("%s: %s", kind, error)
            await asyncio.sleep(_RETRY)

    async def _follow_versions(self) -> NoReturn:
        """Ask the pods for their versions whenever that may have changed, never twice at a time."""
        while True:
            await self._ask_pods.wait()
            # A burst of lines is one question, and replicas that still reload need the processor more.
            await asyncio.sleep(_RETRY)
            self._ask_pods.clear()
            self._codes = await self._pods.codes(self._serving())
            self._has_changed()

    async def _settle(self) -> NoReturn:
        while True:
            await asyncio.sleep(_SETTLE)
            if self._is_urgent():
                self.saves.settle(self._now(), len(self._serving()))
                self._has_changed()

    def _serving(self) -> list[str]:
        discovery = self._objects["kubernetesdiscoveries"].get(self.settings.versions) or {}
        pods = (discovery.get("status") or {}).get("pods") or []
        return [pod["name"] for pod in pods if pod.get("phase") == "Running" and not pod.get("deleting")]

    def _tail(self, resource: str, pod: str) -> list[Line]:
        """Return the newest kept lines of a resource, or of one of its pods."""
        recent = self.logs.after(self.logs.last - 2_000)
        return [line for line in recent if line.resource == resource and (not pod or line.pod == pod)]

    def _has_changed(self) -> None:
        self.revision += 1
        self._notify()

    def _notify(self) -> None:
        for event in self._listeners:
            event.set()


def today() -> datetime:
    """Return the present time in this machine's zone."""
    return datetime.now().astimezone()


def _now() -> float:
    return time.time() * 1000
