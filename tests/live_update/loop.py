"""`make up` in a checkout: started, watched, ended as a person does it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from devenv import dashboard
from tests.live_update import application
from tests.live_update.checkout import Edits, copy_checkout

# Seconds. A wait ends as soon as it can; these only bound it.
START = 300
BUILD = 180
STOP = 60
TAIL_LINES = 40


class Loop:
    """One `make up`, from start() to stop(); it can be started again."""

    def __init__(self, checkout: Path, *arguments: str, replicas: int = application.REPLICAS) -> None:
        """Prepare to run it in the checkout. arguments: for the Tiltfile. replicas: of the backend."""
        self.checkout = checkout
        self.replicas = replicas
        # An argument would keep the loop from following the manifests.
        self._arguments = [*([f"--replicas={replicas}"] if replicas != application.REPLICAS else []), *arguments]
        self._log = checkout / ".devenv" / "loop.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until every replica serves the checkout's files."""
        self._log.parent.mkdir(exist_ok=True)
        # A group of its own, as a shell makes it for Ctrl-C.
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "devenv", "up", "--", *self._arguments],
                cwd=self.checkout,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until("the application runs with the checkout's files", self.is_settled, START)

    def stop(self) -> None:
        """End it by Ctrl-C. Raises AssertionError when it does not end, or not well."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            code = process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"make up did not end within {STOP} s of Ctrl-C\n{self.tail()}") from None
        if code:
            raise AssertionError(f"make up ended with {code}\n{self.tail()}")

    def abandon(self) -> None:
        """Let it end by itself, however that goes, after something of it was killed."""
        if self._process is not None:
            self._process.wait(STOP)
            self._process = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and end it whatever happens."""
        try:
            self.start()
            yield
        finally:
            self.stop()
            dashboard.stop()

    def is_settled(self) -> bool:
        """Tell whether Tilt has nothing left to do and every replica serves the checkout's files."""
        resources = self._resources()
        # Loading the Tiltfile comes before the resources are known.
        if len(resources) < 2 or any(not _is_well(resource["status"]) for resource in resources.values()):
            return False
        if not application.is_rolled_out() or not application.serves(self.checkout, self.replicas):
            return False
        return application.request("GET", "/api/todos/").status == 200

    def history(self, resource: str) -> list[dict[str, Any]]:
        """Return Tilt's record of the resource's last updates, the newest first."""
        entries: list[dict[str, Any]] = self._resources()[resource]["status"].get("buildHistory") or []
        return entries

    def log(self, resource: str) -> str:
        """Return what Tilt has recorded of the resource's output."""
        command = ["tilt", "logs", resource]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    def builds(self, *names: str) -> set[tuple[str, str]]:
        """Return the last updates, of all resources or some, that were no live ones: an image, a deployment."""
        resources = self._resources()
        return {
            (name, entry["spanID"])
            for name in names or resources
            for entry in resources[name]["status"].get("buildHistory") or []
            if not is_live(entry)
        }

    def until(self, what: str, condition: Callable[[], object], seconds: float = 60) -> None:
        """Return as soon as the condition holds. Raises AssertionError with the loop's last lines if it never does."""
        deadline = time.monotonic() + seconds
        while True:
            # Asked again when the answer does not come: pods come and go, and so may the API server.
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                if condition():
                    return
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"make up ended before this was true: {what}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not true within {seconds:.0f} s: {what}\n{self.tail()}")
            time.sleep(0.2)

    def tail(self) -> str:
        """Return the errors in Tilt's record, and the loop's last lines."""
        errors = []
        with contextlib.suppress(OSError):
            for name, resource in self._resources().items():
                history = resource["status"].get("buildHistory") or [{}]
                errors += [f"{name}: {history[0]['error']}"] if "error" in history[0] else []
        return "\n".join([*errors, *self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:]])

    @contextlib.contextmanager
    def edits(self) -> Iterator[Edits]:
        """Edits of the checkout; when they are no longer needed, they are taken back and the loop is settled again."""
        edits = Edits(self.checkout)
        yield edits
        edits.restore()
        self.until("the application runs with the restored files", self.is_settled, BUILD)

    @contextlib.contextmanager
    def live_update(self, component: str) -> Iterator[None]:
        """What happens inside must reach the component's pods as they are: no build, no restart, no other pod."""
        before, builds = application.pods(component), self.builds()
        began = self.history(component)[0]["startTime"]
        yield
        self.until(
            f"Tilt records a live update of {component}",
            lambda: is_live(newest := self.history(component)[0]) and newest["startTime"] > began,
        )
        if new := self.builds() - builds:
            raise AssertionError(f"something was built or deployed anew: {new}\n{self.tail()}")
        if (after := application.pods(component)) != before:
            raise AssertionError(f"the pods changed from {before} to {after}\n{self.tail()}")

    @contextlib.contextmanager
    def build(self, *components: str) -> Iterator[None]:
        """What happens inside must make Tilt build or deploy each of the components anew, and end well."""
        before = self.builds(*components)
        yield
        missing = set(components)

        def are_built() -> bool:
            # All at each look: Tilt remembers two updates of each, and a build is followed by a copy into each new pod.
            missing.difference_update(name for name, _ in self.builds(*components) - before)
            return not missing

        try:
            self.until("Tilt builds all of them anew", are_built, BUILD)
        except AssertionError as error:
            raise AssertionError(f"not built anew: {', '.join(sorted(missing))}\n{error}") from None
        self.until("the application runs with the checkout's files", self.is_settled, BUILD)

    def _resources(self) -> dict[str, dict[str, Any]]:
        result = subprocess.run(
            ["tilt", "get", "uiresources", "--output", "json"], capture_output=True, text=True, timeout=30, check=False
        )
        if result.returncode:
            raise ConnectionError(result.stderr)
        return {item["metadata"]["name"]: item for item in json.loads(result.stdout)["items"]}


def is_live(entry: dict[str, Any]) -> bool:
    """Tell whether an entry of Tilt's record is a live update and not a build."""
    name: str = entry["spanID"]
    return name.startswith("liveupdate:")


def _is_well(status: dict[str, Any]) -> bool:
    well = {"ok", "not_applicable"}
    return status.get("updateStatus") in well and status.get("runtimeStatus") in well


@contextlib.contextmanager
def running_in_copy(folder: Path) -> Iterator[Loop]:
    """Run `make up` in a copy of the working tree in the folder, as long as the context lasts."""
    loop = Loop(copy_checkout(folder / "checkout"))
    with loop.running():
        yield loop
