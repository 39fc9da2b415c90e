"""A machine of its own within this one: network, mounts, processes, home; nothing on it but what a fresh one has."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from bench.processes import process_tree
from devenv import paths, python
from tests.release.internet import Internet
from tests.release.names import PROXY

# What a person's shell finds on a fresh machine.
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# How this machine reaches its package registries, which the stand-in internet leaves alone.
REGISTRY_SETTINGS = ("PIP_", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PROGRAMS = ("unshare", "nsenter", "slirp4netns", "ip")
BOOT, MAKE = 30, 900  # seconds


class Machine:
    """Boots when the context is entered, and is gone with all its processes when it is left."""

    def __init__(
        self, folder: Path, internet: Internet, *, behind_proxy: bool = False, system: Path = Path("/")
    ) -> None:
        """behind_proxy: names are known to the proxy alone, which the environment names.

        system: the root folder of an installed system, in place of this machine's.
        """
        self.folder = folder
        self._system = system
        self._behind_proxy = behind_proxy
        self.home = folder / "home"
        self._internet = internet
        self._init: subprocess.Popen[bytes] | None = None
        self._network: subprocess.Popen[bytes] | None = None
        self._first = 0

    def __enter__(self) -> Self:
        if missing := [name for name in PROGRAMS if not shutil.which(name)]:
            raise AssertionError(f"not installed here: {', '.join(missing)}")
        self.home.mkdir(parents=True)
        upstream = next(
            line.split()[1]
            for line in Path("/etc/resolv.conf").read_text().splitlines()
            if line.startswith("nameserver")
        )
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        folders = map(str, (self._system, self.folder, self._internet.folder))
        boot = [sys.executable, "-m", "tests.release.boot", *folders, upstream]
        boot += ["--behind-proxy"] if self._behind_proxy else []
        with (self.folder / "boot.log").open("wb") as log:
            self._init = subprocess.Popen([*namespaces, *boot], cwd=paths.CHECKOUT, stdout=log, stderr=log)
        try:
            self.until("it has booted", (self.folder / "booted").exists, BOOT)
            self._first = process_tree(self._init.pid)[1].identifier
            # The way out for everything that is not of the stand-in internet: package registries.
            outside = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(self._first), "tap0"]
            with (self.folder / "network.log").open("wb") as log:
                self._network = subprocess.Popen(outside, stdout=log, stderr=log)
            self.until("it has a way out", lambda: self.run("ip", "route", "show", "default").stdout, BOOT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._network, self._init):
            if process and process.poll() is None:
                # With unshare goes its child, the machine's first process, and with that all others.
                process.kill()
                process.wait()

    def run(
        self, *command: str, cwd: Path | None = None, timeout: float = 60, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run the command on the machine; both streams are in what is returned as one.

        user: one that the system knows, with a home under /home.
        """
        home = self.home if user == "root" else Path("/home", user)
        return subprocess.run(
            self._inside(command, cwd or home, user),
            env=self._environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def make(self, target: str, checkout: Path, *, user: str = "root", succeeds: bool = True) -> str:
        """Return what the target prints. Raises AssertionError with its end when it does not end as it should."""
        result = self.run("make", target, cwd=checkout, user=user, timeout=MAKE)
        if bool(result.returncode) is succeeds:
            raise AssertionError(f"make {target} ended with {result.returncode}: {result.stdout[-3_000:]}")
        return result.stdout

    def start(self, *command: str, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start the command on the machine, in a group of its own, as a shell does."""
        with log.open("wb") as file:
            return subprocess.Popen(
                self._inside(command, cwd, "root"),
                env=self._environment(self.home),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def until(self, what: str, condition: Callable[[], object], seconds: float) -> None:
        """Return when the condition holds. Raises AssertionError when it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not true within {seconds:g} s: {what}")
            time.sleep(0.2)

    def _inside(self, command: Sequence[str], folder: Path, user: str) -> list[str]:
        namespaces = ["nsenter", f"--target={self._first}", "--net", "--mount", "--pid", f"--wdns={folder}"]
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return [*namespaces, *become, *command]

    def _environment(self, home: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(REGISTRY_SETTINGS)}
        if self._behind_proxy:
            # As a person sets it: neither the cluster's names nor its addresses.
            kept |= dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "http_proxy"), "http://{}:{}".format(*PROXY))
            kept["NO_PROXY"] = "localhost,127.0.0.1"
        if index := python.pip_index():
            # Another system has no file of settings that tells it.
            kept["PIP_INDEX_URL"] = index
        return {**kept, "PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8"}
