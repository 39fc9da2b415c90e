"""What a hosted runner is to a job: an empty home, an empty workspace, a few programs, a few variables."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from devenv import engine, paths, source
from devenv.registry.images import UBUNTU

# What steps use of all that is installed on ubuntu-24.04, beside a browser. kind and kubectl are there as well; devenv
# takes them or its own pins, whichever are newer.
BROUGHT = ("bash", "curl", "docker", "git", "gzip", "make", "numfmt", "python3")
_SYSTEM = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# How this machine reaches package registries.
_REACHING = ("PIP_", "GO", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_", "https_", "no_proxy")
_END = 30  # seconds


class Runner:
    """Runs the steps of one job in a new folder."""

    def __init__(self, folder: Path, repository: Path, sha: str) -> None:
        """repository: what is checked out, at the commit."""
        self.repository = repository
        self.sha = sha
        self.home, self.workspace = folder / "home", folder / "workspace"
        self.programs, self.artifacts = folder / "programs", folder / "artifacts"
        self.summary = folder / "summary.md"
        self._temporary = folder / "temporary"
        for path in (self.home, self.workspace, self.programs, self.artifacts, self._temporary):
            path.mkdir(parents=True)
        self.summary.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = self._hosted()
        # What is another here than on GitHub, whatever the workflow says.
        self._instead = self._registry_only() if source.source() == source.REGISTRY else {}

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
        """Run a command in the workspace, on this terminal. Raises subprocess.CalledProcessError."""
        with subprocess.Popen(
            command,
            cwd=self.workspace,
            env={**self._environment, **(env or {}), **self._instead},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as self._process:
            code = self._process.wait()
        if code:
            raise subprocess.CalledProcessError(code, list(map(str, command)))

    def script(self, text: str, env: Mapping[str, str]) -> None:
        """Run the text of a step as GitHub does. Raises subprocess.CalledProcessError."""
        file = self._temporary / "step.sh"
        file.write_text(text)
        self.run("bash", "-e", file, env=env)

    def cancel(self) -> None:
        """End the command that runs, with all that it has started."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
                return
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop and delete what the job has left running, as a runner is thrown away."""
        if (self.workspace / "devenv").is_dir():
            with suppress(subprocess.CalledProcessError):
                self.run("python3", "-m", "devenv", "clean")

    def _hosted(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name.startswith(_REACHING)},
            "HOME": str(self.home),
            # The engine's client may be devenv's own, where the machine has none.
            "PATH": os.pathsep.join(map(str, [self.programs, *_SYSTEM, engine.BIN])),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": self.sha,
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self._temporary),
        }

    def _registry_only(self) -> dict[str, str]:
        """Share what devenv has built of the released programs and images, which takes more than a run's time."""
        (self.home / ".cache").mkdir()
        (self.home / ".cache" / paths.CACHE.name).symlink_to(paths.CACHE)
        with suppress(FileNotFoundError):
            shutil.copytree(
                Path.home() / ".docker" / "cli-plugins", self.home / ".docker" / "cli-plugins", symlinks=True
            )
        return {"DEVENV_SOURCE": source.REGISTRY, "UBUNTU": UBUNTU.tag}
