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
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    mount_settings(Path("/"), folder, internet)
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
    if system != Path("/"):
        enter(system, folder, internet)
    (folder / "booted").touch()
    while True:
        # Orphans come to the first process; what ends must be waited for.
        os.wait()


def mount_settings(root: Path, folder: Path, internet: Path) -> None:
    """Give the system below the root an engine's place beside the one outside, the resolver and the authority."""
    run("mount", "-t", "tmpfs", "tmpfs", f"{root}/run")
    run("mount", "--bind", str(folder / "resolv.conf"), f"{root}/etc/resolv.conf")
    run("mount", "--bind", str(internet / "authorities.pem"), f"{root}{BUNDLE.resolve()}")


def enter(system: Path, folder: Path, internet: Path) -> None:
    """Change to another system, which whoever enters this process's mount namespace finds. The servers stay outside."""
    os.unshare(os.CLONE_NEWNS)
    # The root of a namespace is a mount.
    run("mount", "--bind", str(system), str(system))
    for kernel in ("/proc", "/sys", "/dev"):
        run("mount", "--rbind", kernel, f"{system}{kernel}")
    mount_settings(system, folder, internet)
    inside = Path(f"{system}{folder}")
    inside.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(folder), str(inside))
    run("pivot_root", str(system), f"{system}/mnt")
    os.chdir("/")
    run("umount", "--lazy", "/mnt")


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
