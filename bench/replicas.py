"""Saves into a running loop, and when each replica of the backend serves them."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.version import source_digest
from bench.connection import Target
from bench.history import Exchange, Judge, Kind, Tally
from bench.load import Load, Rate
from bench.pods import Probe, command_in_pod
from bench.saves import Edit, Mode
from devenv.failure import Failure
from tests.live_update.application import pods

# nginx in front of all replicas.
PAGE = ("127.0.0.1", 8080, "/api/version")
RATE = Rate(new_period=0.05, kept=4, kept_period=0.1)

# Seconds.
WATCHED, WATCHED_AFTER_SERVED = 1.0, 0.35
GIVE_UP = 20.0


class Leaf:
    """Edits of one string, in a module that only the main module imports."""

    FILE = "app/routers/todos.py"
    STRING = '"Todo not found"'

    def __init__(self, checkout: Path, mirror: Path) -> None:
        """Prepare edits in the checkout; the mirror, a new folder, tells in advance which code they make."""
        self._path = checkout / "backend" / self.FILE
        self._mirror = mirror
        self._text = self._path.read_text()
        self._number = 0
        shutil.copytree(checkout / "backend" / "app", mirror / "app")
        if self._text.count(self.STRING) != 1:
            raise Failure(self.FILE, f"it does not hold {self.STRING} once", "adapt bench/replicas.py to the file")

    @property
    def version(self) -> str:
        """The code once every edit is saved."""
        return source_digest(self._mirror / "app")

    def edit(self) -> Edit:
        """Return the next edit; it must be saved before another one is asked for."""
        self._number += 1
        text = self._text.replace(self.STRING, f'"Todo not found, {self._number}"')
        (self._mirror / self.FILE).write_text(text)
        return Edit(self._path, text, self.version)


@dataclass(frozen=True)
class Outcome:
    """What came of one save.

    saved: seconds since 1970. latencies: milliseconds for each replica, None where the new code was not served in time.
    within_second: requests that were sent within a second after the save. lost: the probes' own requests that were.
    """

    saved: float
    latencies: list[float | None]
    tallies: dict[Kind, Tally]
    within_second: int
    lost: int

    @property
    def slowest(self) -> float | None:
        """Milliseconds until every replica served the new code."""
        known = [latency for latency in self.latencies if latency is not None]
        return max(known) if len(known) == len(self.latencies) else None

    @property
    def quickest(self) -> float | None:
        """Milliseconds until one replica served it."""
        return min((latency for latency in self.latencies if latency is not None), default=None)


class Replicas:
    """All replicas of the backend, each with a probe, and the load on the page in front of them."""

    def __init__(self, leaf: Leaf, probes: list[Probe], load: Load) -> None:
        """Watch replicas that serve the leaf's version."""
        self._leaf = leaf
        self._probes = probes
        self._load = load
        self._judge = Judge(leaf.version)

    @classmethod
    @contextmanager
    def watched(cls, leaf: Leaf) -> Iterator[Self]:
        """Watch the replicas that there are, while the context lasts."""
        with ExitStack() as stack:
            probes = [stack.enter_context(Probe(pod.name, command_in_pod(pod.name))) for pod in pods("backend")]
            load = stack.enter_context(Load(Target(*PAGE, read_answer), RATE))
            yield cls(leaf, probes, load)

    def save(self, mode: Mode, lead: float) -> Outcome:
        """Ask all replicas for a lead of so many seconds, save the next edit, and watch for a second at least."""
        edit = self._leaf.edit()
        for probe in self._probes:
            probe.expect(edit.version, GIVE_UP)
        time.sleep(lead)
        since_1970 = time.time()
        saved = edit.save(mode)
        self._judge.expect(edit.version, saved)
        sightings = [probe.sighting() for probe in self._probes]
        served = [sighting.served for sighting in sightings]
        last = max((moment for moment in served if moment is not None), default=0)
        time.sleep(max(saved + WATCHED - time.monotonic(), last + WATCHED_AFTER_SERVED - time.monotonic(), 0))
        exchanges = self._load.take()
        return Outcome(
            saved=since_1970,
            latencies=[None if moment is None else 1000 * (moment - saved) for moment in served],
            tallies=self._judge.tally(exchanges),
            within_second=sum(_is_within_second(exchange, saved) for exchange in exchanges),
            lost=sum(sighting.lost for sighting in sightings),
        )


def read_answer(body: bytes) -> tuple[str, str]:
    """Return the code and the pod in an answer of /version."""
    answer = json.loads(body)
    return answer["code"], answer["pod"]


def _is_within_second(exchange: Exchange, saved: float) -> bool:
    return 0 <= exchange.sent - saved <= 1
