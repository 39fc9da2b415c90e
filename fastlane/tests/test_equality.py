"""Every replica equals the checkout after the last write, whatever Tilt, or somebody else, has copied meanwhile."""

import contextlib
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from random import Random

import pytest

from fastlane.tests.cluster import until
from fastlane.tests.program import FastLane
from fastlane.tests.replica import Replica

# Several edit at the same time, each in a folder of their own: all of a round is waited for at once.
DEVELOPERS, ROUNDS = 20, 5
MODULES = [f"module_{number}.py" for number in range(4)]
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
    """Edits a folder of the checkout, while Tilt copies what it finds there."""

    def __init__(self, app: Path, number: int, replicas: list[Replica]) -> None:
        self._app = app
        self._folder = app / f"team_{number}"
        self._away = app.parents[1] / f"away_{number}"
        self._other = app.parents[1] / f"other_{number}"
        self._replicas = replicas
        self._random = Random(number)  # noqa: S311 - the same edits each time
        self._folder.mkdir()
        for value, name in enumerate(MODULES):
            save(self._folder / name, value)
            save(self._folder / "parts" / name, value)
            save(self._other / name, -value)

    def edit(self, number: int) -> str:
        """Do something of which only the last state is meant, and let all be copied; return what it was."""
        tilt = Tilt(self._app, self._random.sample(self._replicas, self._random.choice((1, 2))))
        edit = self._random.choice((self._slowly, self._many, self._move, self._come_and_go))
        names = self._random.sample(MODULES, self._random.randint(1, 3))
        for name in names:
            # An earlier save is still under way to the pods.
            tilt.copy(self._folder / name)
        edit(number, names, tilt)
        tilt.end()
        return f"{self._folder.name}{edit.__name__} {names}"

    def _slowly(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in names:
            self._save_slowly(self._folder / name, number, tilt)

    def _many(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in MODULES:
            save(self._folder / name, number)
            save(self._folder / "parts" / name, number)
        for name in names:
            tilt.copy(self._folder / "parts" / name)

    def _move(self, number: int, names: list[str], tilt: Tilt) -> None:
        """A folder goes, and another one comes in its place."""
        parts = self._folder / "parts"
        parts.rename(self._away)
        tilt.copy(parts)
        self._other.rename(parts)
        self._away.rename(self._other)
        for name in names:
            self._save_slowly(parts / name, number, tilt)

    def _come_and_go(self, number: int, names: list[str], tilt: Tilt) -> None:
        for name in names:
            (self._folder / name).unlink()
            tilt.copy(self._folder / name)
            save(self._folder / f"new_{name}", number)
            tilt.copy(self._folder / f"new_{name}")
            (self._folder / f"new_{name}").rename(self._folder / name)

    def _save_slowly(self, path: Path, number: int, tilt: Tilt) -> None:
        with path.open("w") as file:
            file.write(f"# {path.name}\nVALUE")
            file.flush()
            # The half, which nobody may serve.
            tilt.copy(path)
            time.sleep(PAUSE)
            file.write(f" = {number}\n")


def until_equal(replicas: list[Replica], app: Path, lane: FastLane, what: str) -> None:
    expected = contents(app)
    for replica in replicas:
        until(partial(is_equal, replica, expected), f"{replica.name} is equal {what}", lane.lines)


def is_equal(replica: Replica, expected: dict[str, bytes]) -> bool:
    return contents(replica.package) == expected


@pytest.mark.timeout(300)
def test_every_replica_equals_the_checkout(replicas: list[Replica], lane: FastLane, app: Path) -> None:
    developers = [Developer(app, number, replicas) for number in range(DEVELOPERS)]
    until_equal(replicas, app, lane, "at first")
    with ThreadPoolExecutor(DEVELOPERS) as threads:
        for number in range(ROUNDS):
            under_way = [threads.submit(developer.edit, number) for developer in developers]
            edits = [edit.result() for edit in under_way]
            until_equal(replicas, app, lane, f"after round {number}: {edits}")
    (app / "version.py").write_text("VERSION = 'the end'\n")
    until(lambda: all(replica.serves("the end") for replica in replicas), "all is served", lane.lines)
