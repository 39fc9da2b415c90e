"""The machine's first process: its network, its mounts, the internet's servers; then it waits for what ends.

usage: python3 -m tests.release.boot SYSTEM FOLDER INTERNET UPSTREAM [--behind-proxy]
in new network, mount and process namespaces
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.release.names import ADDRESSES, BUNDLE, HTTPS, IMAGES, PROXY, RELEASES, RESOLVER


def main(system: Path, folder: Path, internet: Path, upstream: str, *, behind_proxy: bool) -> None:
    run("mount", "--make-rprivate", "/")
    if system != Path("/"):
        mount_system(system, folder)
    # An engine of its own, beside the one outside.
    run("mount", "-t", "tmpfs", "tmpfs", str(system / "run"))
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    run("mount", "--bind", str(folder / "resolv.conf"), str(system / "etc/resolv.conf"))
    run("mount", "--bind", str(internet / "authorities.pem"), f"{system}{BUNDLE.resolve()}")
    run("ip", "link", "set", "lo", "up")
    for address in (RESOLVER, PROXY[0], *sorted(set(ADDRESSES.values()))):
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    module = (sys.executable, "-m")
    # Behind a proxy a machine need not know the names of others.
    known = ["--outside-alone"] if behind_proxy else []
    start("resolver", folder, *module, "tests.release.resolver", RESOLVER, upstream, *known)
    start("proxy", folder, *module, "tests.release.proxy")
    releases = (RELEASES, internet / "releases", internet / "server.pem")
    start("releases", folder, *module, "tests.release.releases", *releases)
    start("images", folder, internet / "docker-registry", "serve", internet / "registry-tls.yml")
    for listener in ((RELEASES, HTTPS), (IMAGES, HTTPS), PROXY):
        await_listener(listener)
    (folder / "booted").touch()
    while True:
        # Orphans come to the first process; what ends must be waited for.
        os.wait()


def mount_system(system: Path, folder: Path) -> None:
    """Give another system the kernel's file systems, and the machine's folder under its own name."""
    inside = Path(f"{system}{folder}")
    inside.mkdir(parents=True, exist_ok=True)
    # A program can be confined to a mount alone.
    run("mount", "--bind", str(system), str(system))
    for kernel in ("/proc", "/sys", "/dev"):
        run("mount", "--rbind", kernel, f"{system}{kernel}")
    run("mount", "--bind", str(folder), str(inside))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def start(name: str, folder: Path, *command: str | Path) -> None:
    with (folder / f"{name}.log").open("wb") as log:
        subprocess.Popen(command, stdout=log, stderr=log)


def await_listener(address: tuple[str, int]) -> None:
    """Return when something listens on the address. Whoever started this gives up first."""
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex(address):
                return
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], behind_proxy=bool(sys.argv[5:]))
