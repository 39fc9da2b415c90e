"""kind, ctlptl, tilt, kubectl and Docker's plugins: found on the machine, downloaded or built."""

import functools
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv import apt, paths, versions
from devenv.download import download
from devenv.failure import Failure
from devenv.process import Log, output, succeeds
from devenv.progress import Step, run_steps
from devenv.registry import programs
from devenv.registry.golang import Program
from devenv.source import REGISTRY, source


@dataclass(frozen=True)
class Tool:
    """A command line tool. version_command: prints the version; program: how registry-only mode builds it."""

    name: str
    version_command: Sequence[str]
    program: Program

    def is_on_path(self) -> bool:
        """True when there is one that is at least as new as the pin; a built one also has to be of today's recipe."""
        found = Path(shutil.which(self.name) or "")
        if found.parent == paths.BIN and found.is_symlink():
            return found.resolve() == self.program.binary(self.name).resolve()
        return versions.numbers(self.version()) >= versions.numbers(versions.release(self.name).version)

    def version(self) -> str:
        """What the tool on PATH says of itself; empty when there is none."""
        command = [self.name, *self.version_command]
        if not succeeds(command):
            return ""
        text = output(command)
        return next((word.strip('",') for word in text.split() if versions.numbers(word) and "." in word), "")

    def step(self) -> Step:
        if source() == REGISTRY:
            build = self.program.step()
            return Step(build.name, build.estimate, self.is_on_path, lambda log: self._link(log, build))
        return Step(f"download {self.name}", 10, self.is_on_path, self._download)

    def _link(self, log: Log, build: Step) -> None:
        if not build.is_done():
            build.run(log)
        _replace_link(paths.BIN / self.name, self.program.binary(self.name))

    def _download(self, log: Log) -> None:
        pin = versions.release(self.name)
        try:
            address, sha256 = pin.download()
        except LookupError as platform:
            raise Failure(
                f"{self.name} {pin.version}",
                f"devenv knows no checksum for {platform}",
                f"install {self.name} {pin.version} or newer, then run the same command again",
            ) from None
        unpack = functools.partial(_member, name=self.name) if address.endswith(".tar.gz") else None
        download(address, sha256, paths.BIN / self.name, log, unpack=unpack)


KIND = Tool("kind", ["version"], programs.KIND)
CTLPTL = Tool("ctlptl", ["version"], programs.CTLPTL)
TILT = Tool("tilt", ["version"], programs.TILT)
KUBECTL = Tool("kubectl", ["version", "--client"], programs.KUBERNETES)
ALL = [KIND, CTLPTL, KUBECTL, TILT]

# Docker finds plugins here and nowhere on PATH.
_PLUGINS = Path.home() / ".docker" / "cli-plugins"


def ensure() -> None:
    """Every tool of the loop, at its pin or newer."""
    run_steps("Tools", [tool.step() for tool in ALL])


def plugin_step(program: Program, check: str, minimum: str) -> Step:
    """A Docker plugin that is missing or older than `minimum`: from the module proxy, or from the distribution."""
    (name,) = program.packages
    command = ["docker", check, "version"]

    def is_done() -> bool:
        return succeeds(command) and versions.numbers(output(command).partition("v")[2]) >= versions.numbers(minimum)

    def bring(log: Log) -> None:
        if source() != REGISTRY:
            package = "docker-compose-v2" if (check, apt.release()[0]) == ("compose", "ubuntu") else f"docker-{check}"
            apt.require_root(f"docker {check} {minimum} or newer", package)
            apt.install([package], log)
            return
        build = program.step()
        if not build.is_done():
            build.run(log)
        _replace_link(_PLUGINS / name, program.binary(name))

    return Step(f"docker {check}", program.estimate, is_done, bring)


def _replace_link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()
