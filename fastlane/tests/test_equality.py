"""Every replica equals the checkout after the last write, whatever Tilt, or somebody else, has copied meanwhile."""

import contextlib
import subprocess
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from random import Random

import pytest

from fastlane.tests.cluster import until
from fastlane.tests.program import FastLane
from fastlane.tests.replica import Replica

ROUNDS = 100
MODULES = [f"module_{number}.py" for number in range(8)]
# Seconds between the parts of what is written slowly, here and in a pod.
PAUSE = 0.03


class Tilt:
    """Copies into one pod after another as Tilt's tar does: what it has read before, file by file, in parts."""

    def __init__(self, app: Path, replicas: list[Replica]) -> None:
        self._app = app
        self._replicas = replicas
        self._work: SimpleQueue[tuple[Path, bytes | None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def copy(self, path: Path) -> None:
        """Read the file now, which may be a half, and copy that later."""
        try:
            content = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            content = None
        self._work.put((path.relative_to(self._app), content))

    def end(self) -> None:
        """Finish all copies."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while work := self._work.get():
            name, content = work
            time.sleep(PAUSE)
            for replica in self._replicas:
                self._replace(replica.package / name, content)

    def _replace(self, target: Path, content: bytes | None) -> None:
        if content is None:
            subprocess.run(["rm", "-rf", target], check=False, stderr=subprocess.DEVNULL)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        # The lane may have made it anew meanwhile; tar goes on then.
        with contextlib.suppress(FileExistsError), target.open("xb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            time.sleep(0.002)
            file.write(content[len(content) // 2 :])


def contents(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*.py"):
        # What is replaced at this moment is looked at again.
        with contextlib.suppress(FileNotFoundError):
            if not path.name.startswith("."):
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def save(path: Path, number: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# {path.name}\nVALUE = {number}\n")


class Developer:
    """Edits the checkout, while Tilt copies what it finds there."""

    def __init__(self, app: Path, random: Random) -> None:
        self._app = app
        self._away = app.parents[1] / "away"
        self._other = app.parents[1] / "other"
        self._random = random
        for number, name in enumerate(MODULES):
            save(app / name, number)
            save(app / "parts" / name, number)
            save(self._other / name, -number)

    def edit(self, number: int, tilt: Tilt) -> str:
        """Do something of which only the last state is meant; return what it was."""
        edit = self._random.choice((self._slowly, self._many, self._move, self._come_and_go))
        names = self._random.sample(MODULES, self._random.randint(1, 3))
        for name in names:
            # An earlier save is still under way to the pods.
            tilt.copy(self._app / name)
        edit(number, names, tilt)
        return f"{edit.__name__} {names}"

    def _slowly(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in names:
            self._save_slowly(self._app / name, number, tilt)

    def _many(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in MODULES:
            save(self._app / name, number)
            save(self._app / "parts" / name, number)
        for name in names:
            tilt.copy(self._app / "parts" / name)

    def _move(self, number: int, names: list[str], tilt: Tilt) -> None:
        """A folder goes, and another one comes in its place."""
        parts = self._app / "parts"
        parts.rename(self._away)
        tilt.copy(parts)
        self._other.rename(parts)
        self._away.rename(self._other)
        for name in names:
            self._save_slowly(parts / name, number, tilt)

    def _come_and_go(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in names:
            (self._app / name).unlink()
            tilt.copy(self._app / name)
            save(self._app / f"new_{name}", number)
            tilt.copy(self._app / f"new_{name}")
            (self._app / f"new_{name}").rename(self._app / name)

    def _save_slowly(self, path: Path, number: int, tilt: Tilt) -> None:
        with path.open("w") as file:
            file.write(f"# {path.name}\nVALUE")
            file.flush()
            # The half, which nobody may serve.
            tilt.copy(path)
            time.sleep(PAUSE)
            file.write(f" = {number}\n")


@pytest.mark.timeout(300)
def test_every_replica_equals_the_checkout(replicas: list[Replica], lane: FastLane, app: Path) -> None:
    random = Random(12)  # noqa: S311 - the same edits each time
    developer = Developer(app, random)
    for number in range(ROUNDS):
        tilt = Tilt(app, random.sample(replicas, random.choice((1, 2))))
        edit = developer.edit(number, tilt)
        tilt.end()
        until(
            lambda: [contents(replica.package) for replica in replicas] == [contents(app)] * 2,
            f"all are equal after round {number}, {edit}",
            lane.lines,
        )
    (app / "version.py").write_text("VERSION = 'the end'\n")
    until(lambda: all(replica.serves("the end") for replica in replicas), "all is served", lane.lines)
