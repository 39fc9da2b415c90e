"""When every replica equals the checkout after an edit: its files, and what it answers."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.pods import Observer, command_in_pod
from devenv import dashboard
from tests.live_update.application import pods
from tests.live_update.developer import FOLDER, PATH, Developer

PROGRAM = Path(__file__).with_name("folder_probe.py").read_text()
SPEAKERS = ("backend", "fast-lane")
# Seconds without a line that end what the dashboard has to tell.
QUIET = 1.0


@dataclass(frozen=True)
class Look:
    """What was seen of one replica, in seconds of the monotonic clock.

    equal, served: when its files, and its answer, were first right; None: not in time.
    differed, reverted: when its files, and its answer, were last wrong after they had been right.
    found: what is there in the end, if that is wrong.
    """

    replica: str
    equal: float | None
    served: float | None
    differed: float | None
    reverted: float | None
    found: object


@dataclass(frozen=True)
class Outcome:
    """What came of one edit. ended: when it was complete, by the monotonic clock. Other times are milliseconds then."""

    ended: float
    looks: Sequence[Look]

    @property
    def equal(self) -> float | None:
        """Until the files of every replica were right; None: not in time."""
        return self._slowest([look.equal for look in self.looks])

    @property
    def served(self) -> float | None:
        """Until the answers of every replica were right; None: not in time."""
        return self._slowest([look.served for look in self.looks])

    @property
    def differed(self) -> float | None:
        """Until the files of a replica were last wrong after they had been right; None: they never were."""
        return self._slowest([look.differed for look in self.looks if look.differed is not None])

    @property
    def reverted(self) -> float | None:
        """Until an answer was last wrong after it had been right; None: none was."""
        return self._slowest([look.reverted for look in self.looks if look.reverted is not None])

    @property
    def is_wrong(self) -> bool:
        """Whether a replica was wrong in the end."""
        return any(look.found is not None for look in self.looks)

    def _slowest(self, moments: Sequence[float | None]) -> float | None:
        known = [1000 * (moment - self.ended) for moment in moments if moment is not None]
        return max(known) if known and len(known) == len(moments) else None


@contextmanager
def observers() -> Iterator[list[Observer]]:
    """Start a probe in each backend pod, for follow(), while the context lasts."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Observer(pod.name, command_in_pod(pod.name, PROGRAM, PATH, FOLDER)))
            for pod in pods("backend")
        ]


def follow(replicas: Sequence[Observer], developer: Developer, seconds: float, watched: float) -> Outcome:
    """Watch what comes of an edit that has just ended for so long, and on until all is right, but at most `seconds`."""
    ended = time.monotonic()
    expected = developer.expected()
    for replica in replicas:
        replica.order(seconds, files=expected.files, answer=expected.answer, watched=watched)
    return Outcome(ended, [Look(replica.replica, **replica.result()) for replica in replicas])


def logs(since: float) -> str:
    """Return what the backend, the fast lane and Tilt have said since then, in seconds since 1970, by the dashboard."""
    lines = []
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.PORT, timeout=QUIET)
    with contextlib.closing(connection), contextlib.suppress(TimeoutError):
        connection.request("GET", "/api/events")
        response = connection.getresponse()
        event = ""
        while text := response.readline().decode():
            name, _, value = text.strip().partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "lines":
                lines += [line for line in json.loads(value) if line["time"] >= 1000 * since]
    said = [line for line in lines if line["resource"] in SPEAKERS]
    return "".join(f"{_clock(line['time'])} {line['resource']} {line['pod']} {line['text']}\n" for line in said)


def _clock(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
