"""The timeline of saves: what each of them did, how long that took, and what failed meanwhile.

A save shows itself in up to four places: Tilt's watch of the files, its record of updates, the fast lane's line, and
the line of warmfork in each pod. They come in any order, also twice, and belong together by their times.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from dashboard.logs import Line
from dashboard.state import Object, is_build, is_live, moment

MAXIMUM_SAVES = 500
# Milliseconds: two clocks that tell of one moment; two reports of one save are no further apart; what a save leads to
# begins no later; a request that long after a save was served still counts as sent meanwhile; code that no pod has
# reloaded so long after its copy was no change.
_PRECISION = 50
_SAME = 300
_REACH = 60_000
_AFTERMATH = 1_000
_NO_RELOAD = 5_000
_MAXIMUM_REQUESTS = 20_000
_MAXIMUM_REPORTS = 200
# Reports of Tilt that are remembered, because it repeats the last of each kind.
_MAXIMUM_KNOWN = 10_000

_LANE = re.compile(
    r"fast lane: (?P<files>[^:]+): (?P<served>\d+) of (?P<all>\d+) replicas(?: in (?P<ms>\d+) ms|; (?P<error>.*))$"
)
_RELOADED = re.compile(r"warmfork: (?P<files>.+): reloaded in (?P<ms>\d+) ms")
_NOT_RELOADED = re.compile(r"warmfork: (?P<files>.+): not reloaded, ")
# A change of these is meant to rebuild an image or to run the Tiltfile anew.
_BUILT_FROM = (
    "*Dockerfile", "*requirements*.txt", "*pyproject.toml", "*package*.json", "*.lock", "*.yaml", "*.yml", "*.ini",
    "*.conf", "*.star", "Tiltfile", "*/migrations/*", "warmfork/*.py",
)  # fmt: skip


@dataclass(frozen=True)
class Syncs:
    """What the Tiltfile lets Tilt copy into a resource's pods, as folders and files, and what it excepts."""

    folders: tuple[Path, ...]
    excepted: tuple[Path, ...]

    @classmethod
    def of(cls, live_update: Object) -> "Syncs":
        """Read a LiveUpdate object."""
        spec = live_update["spec"]
        base = Path(spec["basePath"])
        return cls(
            tuple(base / sync["localPath"] for sync in spec.get("syncs") or []),
            tuple(base / path for path in spec.get("stopPaths") or []),
        )

    def objection(self, path: Path) -> str:
        """Return why a change of the file cannot be copied; empty if it can."""
        if path in self.excepted:
            return "fall_back_on() names it"
        if not any(folder == path or folder in path.parents for folder in self.folders):
            return "no sync() covers it"
        return ""


@dataclass
class Save:
    """One save. Times are milliseconds since 1970, durations milliseconds."""

    id: int
    time: float
    files: list[str]
    resources: list[str] = field(default_factory=list)
    # Whether the time is that of the save, and not when it was seen.
    is_exact: bool = False
    seen: float | None = None
    # By resource: start and end of Tilt's copy, or of its build.
    copies: dict[str, tuple[float, float]] = field(default_factory=dict)
    builds: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    # Resources that run what was built.
    ready: set[str] = field(default_factory=set)
    # By pod: when it reloaded, and how long that took.
    reloads: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Of the fast lane: duration until the last replica served it.
    lane: float | None = None
    lane_began: float | None = None
    replicas: int = 0
    served: float | None = None
    status: str = "running"
    error: str | None = None
    # By resource: why it is built anew.
    reasons: dict[str, str] = field(default_factory=dict)
    unexpected: bool = False
    # Requests of the prober's while it was under way, and those of them that failed.
    requests: int = 0
    failed: int = 0
    revision: int = 0

    @property
    def action(self) -> str:
        """What the save led to."""
        if self.builds:
            return "rebuild"
        if self.lane is not None:
            return "fast lane"
        return "sync" if self.copies or self.reloads else "none"


@dataclass
class _Report:
    """What a pod has logged about new code. milliseconds: None when it does not start, which `head` is the line of."""

    pod: str
    files: list[str]
    time: float
    milliseconds: float | None = None
    head: int | None = None
    error: str = "the new code does not start"
    save: Save | None = None

    @property
    def began(self) -> float:
        """When the pod got the files."""
        return self.time - (self.milliseconds or 0.0)


class Saves:
    """The newest saves, and what came of them."""

    def __init__(self, checkout: Path, modified: Callable[[Path], float | None] | None = None) -> None:
        """modified: tells when a file was last written, in milliseconds since 1970."""
        self._checkout = checkout
        self._modified = modified or _modified
        self._saves: deque[Save] = deque(maxlen=MAXIMUM_SAVES)
        self._number = 0
        self._reports: deque[_Report] = deque(maxlen=_MAXIMUM_REPORTS)
        # Resources that have pods.
        self._with_pods: set[str] = set()
        self._known: dict[object, None] = {}
        self._syncs: dict[str, Syncs] = {}
        self._requests: deque[tuple[float, bool]] = deque(maxlen=_MAXIMUM_REQUESTS)
        self.revision = 0

    # --- what happens

    def knows_syncs(self, resource: str, syncs: Syncs) -> None:
        """Take note of what can be copied into a resource's pods."""
        self._syncs[resource] = syncs

    def watch(self, watch: Object) -> None:
        """Take in a FileWatch object, with the last changes that Tilt has seen."""
        name = watch["metadata"]["name"]
        resource = (watch["metadata"].get("annotations") or {}).get("tilt.dev/resource", "")
        for event in (watch.get("status") or {}).get("fileEvents") or []:
            if self._is_new((name, event["time"])):
                seen = moment(event["time"]) or 0.0
                self._file_event(resource, [Path(path) for path in event.get("seenFiles") or []], seen)

    def record(self, resource: Object, now: float) -> None:
        """Take in a UIResource object: Tilt's record of updates, and whether what it built runs."""
        name, status = resource["metadata"]["name"], resource["status"]
        for entry in reversed(status.get("buildHistory") or []):
            if self._is_new((name, entry.get("spanID"), entry.get("finishTime"))):
                self._update(name, entry)
        if running := status.get("currentBuild"):
            began = moment(running["startTime"]) or now
            if is_build(running) and (save := self._cause(name, began)):
                save.builds.setdefault(name, (began, None))
                self._explain(save, name)
        elif name not in self._with_pods and status.get("updateStatus") == "ok":
            self._is_ready(name, now)

    def roll_out(self, resource: str, pods: Sequence[Object], now: float) -> None:
        """Take in a resource's pods: what was built is served when all that stay are newer, and ready."""
        self._with_pods.add(resource)
        staying = [pod for pod in pods if not pod.get("deleting")]
        builds = [save.builds[resource] for save in self._saves if save.status == "running" and resource in save.builds]
        ended = max((end for _, end in builds if end is not None), default=None)
        # A pod's time of creation has whole seconds.
        if (
            ended
            and staying
            and all(_is_up(pod) and (moment(pod["createdAt"]) or 0) > ended - 1_000 for pod in staying)
        ):
            self._is_ready(resource, now)

    def hear(self, line: Line) -> None:
        """Take in a log line: those of warmfork and of the fast lane tell about saves."""
        if line.head is not None:
            self._hear_error(line)
        elif found := _LANE.match(line.text):
            self._lane(line, found)
        elif found := _RELOADED.match(line.text):
            self._report(_Report(line.pod, _names(found["files"]), line.time, milliseconds=float(found["ms"])))
        elif found := _NOT_RELOADED.match(line.text):
            self._report(_Report(line.pod, _names(found["files"]), line.time, head=line.id))

    def request(self, time: float, *, ok: bool) -> None:
        """Take note of a request of the prober's."""
        self._requests.append((time, ok))
        for save in self._saves:
            if _is_meanwhile(save, time):
                self._touch(save)

    def settle(self, now: float, replicas: int) -> None:
        """Come to a conclusion about saves whose effects are all known, or will never be."""
        for save in self._saves:
            if save.status != "running":
                continue
            reloads = [time for time, _ in save.reloads.values()]
            copied = max((end for _, end in save.copies.values()), default=None)
            if reloads and len(reloads) >= replicas:
                save.replicas = len(reloads)
                self._serve(save, max(reloads) - save.time)
            elif copied is not None and not save.builds and (not _is_code(save.files) or now - copied > _NO_RELOAD):
                self._serve(save, max([copied, *reloads]) - save.time)
            elif now - save.time > _REACH and not save.builds:
                save.status = "served"
                save.reasons[""] = "nothing that runs uses it"
                self._touch(save)

    # --- what can be asked

    def is_under_way(self, now: float) -> bool:
        """Tell whether a save has not been served yet, or only just."""
        return any(_is_meanwhile(save, now) for save in self._saves)

    def unserved(self) -> dict[str, str]:
        """Return by resource why the newest code is not served."""
        reasons = {}
        for save in self._saves:
            for resource in save.resources or ["backend"]:
                if save.status == "failed":
                    reasons[resource] = f"{', '.join(save.files)} is not served: {save.error}"
                elif save.status == "served" and save.action != "none":
                    reasons.pop(resource, None)
        return reasons

    def changed_since(self, revision: int) -> list[dict[str, Any]]:
        """Return the page's form of the saves that have changed since this revision, the oldest first."""
        return [_json(save) for save in self._saves if save.revision > revision]

    def today(self, now: datetime) -> dict[str, Any]:
        """Return the figures of this day."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000
        saves = [save for save in self._saves if save.time >= midnight]
        served = [save.served for save in saves if save.served is not None and not save.builds]
        return {
            "count": len(saves),
            "p50": round(median(served), 1) if served else None,
            "p95": round(quantiles(served, n=20, method="inclusive")[18], 1) if len(served) > 1 else None,
            "requests": sum(save.requests for save in saves),
            "failed": sum(save.failed for save in saves),
            "rebuilds": sum(bool(save.builds) for save in saves),
        }

    # --- how it belongs together

    def _is_ready(self, resource: str, now: float) -> None:
        for save in self._saves:
            if save.status == "running" and (save.builds.get(resource) or (0, None))[1] is not None:
                save.ready.add(resource)
                # The others have been copied to, or have been built and are ready as well.
                if save.ready | save.copies.keys() - save.builds.keys() >= set(save.resources):
                    self._serve(save, now - save.time)

    def _is_new(self, key: object) -> bool:
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > _MAXIMUM_KNOWN:
            del self._known[next(iter(self._known))]
        return True

    def _file_event(self, resource: str, paths: list[Path], seen: float) -> None:
        if not paths:
            return
        written = [time for path in paths if (time := self._modified(path)) and seen - _REACH < time <= seen]
        # Of a deleted file nobody knows more than when that was seen.
        time = max(written, default=seen)
        files = [self._name(path) for path in paths]
        save = self._same(time, files) or self._new(time, [])
        # The fast lane has other names for them, and may count files instead of naming them.
        others = {name for name in save.files if not _is_count(name) and not any(_overlap(name, one) for one in files)}
        save.files = sorted({*others, *files})
        if written:
            save.time, save.is_exact = time, True
        if save.lane is not None and save.lane_began is not None:
            self._serve(save, save.lane_began - save.time + save.lane)
        save.seen = min(save.seen or seen, seen)
        if resource and resource not in save.resources:
            save.resources.append(resource)
        self._attribute()
        self._touch(save)

    def _lane(self, line: Line, found: re.Match[str]) -> None:
        duration, files = float(found["ms"] or 0), _names(found["files"])
        began = line.time - duration
        # Of a failure the line does not tell how long it took.
        known = self._same(began, files) if found["ms"] else self._under_way(files, line.time)
        save = known or self._new(began, files)
        if not save.is_exact:
            save.time = min(save.time, began)
        save.replicas = int(found["all"])
        save.lane_began = began
        if found["error"]:
            self._fail(save, found["error"].partition(": ")[2] or found["error"])
        else:
            save.lane = duration
            if save.status == "failed":
                # This change came after the one that failed, within the same moment.
                save.error = None
            self._serve(save, began - save.time + duration)
        self._attribute()

    def _update(self, resource: str, entry: Object) -> None:
        began, ended = moment(entry.get("startTime")), moment(entry.get("finishTime"))
        if began is None or ended is None or not (save := self._cause(resource, began)):
            return
        if is_live(entry):
            save.copies.setdefault(resource, (began, ended))
        elif is_build(entry):
            save.builds[resource] = (began, ended)
            self._explain(save, resource)
        if entry.get("error"):
            self._fail(save, str(entry["error"]).strip().splitlines()[0])
        self._touch(save)

    def _explain(self, save: Save, resource: str) -> None:
        """Say why Tilt builds anew, and whether that was to be expected."""
        syncs = self._syncs.get(resource)
        objections = {name: syncs.objection(self._checkout / name) if syncs else "" for name in save.files}
        causes = [f"{name}: {objection}" for name, objection in objections.items() if objection]
        if syncs is None:
            save.reasons[resource] = f"{resource} is always built anew"
        elif causes:
            save.reasons[resource] = "; ".join(causes)
            save.unexpected = any(
                objection == "no sync() covers it" and not any(fnmatch(name, pattern) for pattern in _BUILT_FROM)
                for name, objection in objections.items()
            )
        else:
            save.reasons[resource] = f"{', '.join(save.files)} could have been copied; see the log of {resource}"
            save.unexpected = True
        self._touch(save)

    def _hear_error(self, line: Line) -> None:
        for report in self._reports:
            # The exception is the first line of the account that is not indented.
            if report.head == line.head and line.text[:1] not in {" ", ""}:
                report.head, report.error = None, line.text
                if report.save:
                    self._fail(report.save, line.text)

    def _report(self, report: _Report) -> None:
        self._reports.append(report)
        self._attribute()

    def _attribute(self) -> None:
        """Give each report to the save that it goes back to, which may become known only after it."""
        for report in self._reports:
            if report.save or not (save := self._under_way(report.files, report.began)):
                continue
            report.save = save
            if report.milliseconds is None:
                self._fail(save, report.error)
            else:
                save.reloads.setdefault(report.pod, (report.time, report.milliseconds))
                self._touch(save)

    def _new(self, time: float, files: list[str]) -> Save:
        self._number += 1
        save = Save(self._number, time, files)
        self._saves.append(save)
        return save

    def _same(self, time: float, files: list[str]) -> Save | None:
        """Return the save of such files at about that time, which something else has told of."""
        for save in reversed(self._saves):
            if abs(save.time - time) <= _SAME and _are_same(save.files, files):
                return save
        return None

    def _cause(self, resource: str, began: float) -> Save | None:
        """Return the save that an update goes back to."""
        for save in reversed(self._saves):
            if resource in save.resources and 0 <= began - save.time < _REACH:
                return save
        return None

    def _under_way(self, files: Sequence[str], time: float) -> Save | None:
        """Return the newest save of such files that had been made by then, and was not over."""
        for save in reversed(self._saves):
            since = time - save.time
            over = _REACH if save.status == "running" else (save.served or 0.0) + _AFTERMATH
            if -(_PRECISION if save.is_exact else _SAME) <= since < over and _are_same(save.files, files):
                return save
        return None

    def _serve(self, save: Save, duration: float) -> None:
        save.served = max(duration, 0.0)
        save.status = "served"
        self._touch(save)

    def _fail(self, save: Save, error: str) -> None:
        save.status, save.error, save.served = "failed", error, None
        self._touch(save)

    def _touch(self, save: Save) -> None:
        """Note that the save is not what it was, and count the requests anew: its end may have moved."""
        self.revision += 1
        save.revision = self.revision
        save.requests = save.failed = 0
        for time, ok in reversed(self._requests):
            if time < save.time:
                break
            if _is_meanwhile(save, time):
                save.requests += 1
                save.failed += not ok

    def _name(self, path: Path) -> str:
        return path.relative_to(self._checkout).as_posix() if self._checkout in path.parents else str(path)


def _json(save: Save) -> dict[str, Any]:
    return {
        "id": save.id,
        "time": save.time,
        "files": save.files,
        "resource": ", ".join(save.resources),
        "action": save.action,
        "why": "; ".join(dict.fromkeys(save.reasons.values())),
        "unexpected": save.unexpected,
        "status": save.status,
        "error": save.error,
        **_split(save),
        "served": _rounded(save.served),
        "replicas": save.replicas,
        "requests": save.requests,
        "failed": save.failed,
    }


def _is_meanwhile(save: Save, time: float) -> bool:
    """Tell whether a moment lies between the save and shortly after it was served."""
    until = save.served if save.served is not None else _REACH if save.status == "running" else 0.0
    return save.time <= time <= save.time + until + _AFTERMATH


def _split(save: Save) -> dict[str, float | None]:
    """Return where the time went, as far as it is known."""
    detect = copy = None
    reload = max((duration for _, duration in save.reloads.values()), default=None)
    if save.lane is not None and save.lane_began is not None:
        detect = max(save.lane_began - save.time, 0.0) if save.is_exact else None
        copy = max(save.lane - (reload or 0.0), 0.0)
    elif save.seen is not None:
        detect = save.seen - save.time if save.is_exact else None
        if save.copies:
            copy = max(end - began for began, end in save.copies.values())
        elif save.builds:
            copy = max(((end or began) - began for began, end in save.builds.values()), default=None)
    return {"detect": _rounded(detect), "copy": _rounded(copy), "reload": _rounded(reload)}


def _rounded(duration: float | None) -> float | None:
    return None if duration is None else round(duration, 1)


def _is_up(pod: Object) -> bool:
    return pod.get("phase") == "Succeeded" or all(one.get("ready") for one in pod.get("containers") or [{}])


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime * 1000
    except OSError:
        return None


def _is_code(files: Iterable[str]) -> bool:
    return any(name.endswith((".py", ".env")) for name in files)


def _overlap(one: str, other: str) -> bool:
    """Tell whether they can be names of one file: pods and the fast lane name it from another folder."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _are_same(some: Iterable[str], others: Iterable[str]) -> bool:
    return any(_overlap(one, other) for one in some for other in others)


def _names(text: str) -> list[str]:
    """Return the files that a line names; of many it names one and counts the rest."""
    return text.partition(" and ")[0].split(", ")


def _is_count(name: str) -> bool:
    """Tell whether it is a name and a number of further files."""
    return name.endswith(" more")
