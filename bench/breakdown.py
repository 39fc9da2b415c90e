"""Where the time of a save goes, from what Tilt and warmfork themselves say."""

import re
from dataclasses import dataclass
from itertools import pairwise

from bench.tilt import Copy, copy_after, read_time
from tests.e2e.kubectl import kubectl
from tests.live_update.application import NAMESPACE, pods

PARTS = ("debounce", "dispatch", "copy", "reload", "served")
RELOADED = re.compile(r"^(\S+) .*warmfork: .+: reloaded in (\d+) ms")


@dataclass(frozen=True)
class Reload:
    """One line of warmfork's log. moment: seconds since 1970."""

    moment: float
    milliseconds: float


class Breakdown:
    """The saves of one part of the measurement."""

    def __init__(self, file: str) -> None:
        """Follow saves of the file, the end of whose path this is."""
        self._file = file
        self._saves: list[tuple[float, float | None, Copy | None]] = []

    def follow(self, saved: float, served: float | None) -> None:
        """Wait until Tilt has recorded a save. saved: seconds since 1970; served: milliseconds, if known."""
        self._saves.append((saved, served, copy_after(saved, self._file)))

    def rows(self) -> list[dict[str, str]]:
        """Return the milliseconds that each of PARTS took, for every save; empty where nobody tells."""
        reloads = [_reloads(pod.name, self._saves[0][0]) for pod in pods("backend")] if self._saves else []
        ends = [*(saved for saved, _, _ in self._saves[1:]), float("inf")]
        return [
            _row(saved, served, copy, slowest_reload(reloads, saved, end))
            for (saved, served, copy), end in zip(self._saves, ends, strict=True)
        ]


def slowest_reload(reloads: list[list[Reload]], saved: float, end: float) -> float | None:
    """Return the longest of the replicas' first reloads between two saves; None unless each of them has one."""
    firsts = [
        next((reload.milliseconds for reload in replica if saved < reload.moment < end), None) for replica in reloads
    ]
    known = [first for first in firsts if first is not None]
    return max(known) if known and len(known) == len(firsts) else None


def parse_log(log: str) -> list[Reload]:
    """Return the reloads in a log that has a time before every line."""
    matches = filter(None, map(RELOADED.match, log.splitlines()))
    return [Reload(read_time(match[1]), float(match[2])) for match in matches]


def _reloads(pod: str, since: float) -> list[Reload]:
    logs = kubectl("--namespace", NAMESPACE, "logs", pod, "--container", "backend", "--timestamps")
    return [reload for reload in parse_log(logs.stdout) if reload.moment > since]


def _row(saved: float, served: float | None, copy: Copy | None, reload: float | None) -> dict[str, str]:
    parts = dict.fromkeys(PARTS, "")
    if copy:
        moments = (saved, copy.seen, copy.began, copy.ended)
        durations = (1000 * (after - before) for before, after in pairwise(moments))
        parts |= {name: f"{duration:.1f}" for name, duration in zip(PARTS[:3], durations, strict=True)}
    known = {"reload": reload, "served": served}
    return parts | {name: f"{duration:.1f}" for name, duration in known.items() if duration is not None}
