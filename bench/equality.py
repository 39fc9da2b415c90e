"""When every replica equals the checkout after an edit: its files, and what it answers."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.pods import Observer, command_in_pod
from tests.e2e.kubectl import kubectl
from tests.live_update.application import NAMESPACE, pods
from tests.live_update.developer import FOLDER, PATH, Expected

PROGRAM = Path(__file__).with_name("folder_probe.py").read_text()


@dataclass(frozen=True)
class Look:
    """What was seen of one replica, in seconds of the monotonic clock.

    equal, served: when its files, and its answer, were first right; None: not in time.
    differed: when either was last wrong after both had been right.
    found: what is there in the end, if that is wrong.
    """

    replica: str
    equal: float | None
    served: float | None
    differed: float | None
    found: object


@contextmanager
def observers() -> Iterator[list[Observer]]:
    """Start a probe in each backend pod, for look(), while the context lasts."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Observer(pod.name, command_in_pod(pod.name, PROGRAM, PATH, FOLDER)))
            for pod in pods("backend")
        ]


def look(replicas: Sequence[Observer], expected: Expected, seconds: float, watched: float) -> list[Look]:
    """Watch every replica for so long, and on until it is right, for at most so many seconds in all."""
    for replica in replicas:
        replica.order(seconds, files=expected.files, answer=expected.answer, watched=watched)
    return [Look(replica.replica, **replica.result()) for replica in replicas]


def logs(pod: str, seconds: float) -> str:
    """Return what the pod, the fast lane and Tilt have said of the backend in the last seconds."""
    since = f"--since={seconds:.0f}s"
    options = ("--container", "backend", "--timestamps", since)
    said = kubectl("--namespace", NAMESPACE, "logs", pod, *options).stdout
    tilt = ["tilt", "logs", since, "--json", "fast-lane", "backend"]
    told = subprocess.run(tilt, capture_output=True, text=True, timeout=30, check=False).stdout
    return f"{pod}:\n{said}\nTilt and the fast lane:\n{told}"
