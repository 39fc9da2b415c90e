"""What the stand-in internet serves: programs and images that registry-only mode has built, under the real names."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import trustme

from devenv import paths, versions
from devenv.process import output
from devenv.progress import run_steps
from devenv.registry import images, node
from devenv.tools import ALL, Tool
from tests.live_update.checkout import copy_checkout
from tests.ports import reserved_port
from tests.release.names import ADDRESSES, BUNDLE

# What a release has beside its program, where it is an archive.
COMPANIONS = ("LICENSE", "README.md")
# The real name of an image, and which of ours takes its place.
IMAGES = {
    "library/ubuntu:24.04": images.UBUNTU.tag,
    "library/postgres:17-trixie": images.POSTGRES.tag,
    "library/registry:2": images.REGISTRY.tag,
}
ACCEPT = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Internet:
    """A folder with all that is served. pins: what stands for a real checksum or digest in the checkout."""

    folder: Path
    sha256: dict[str, str]
    digests: dict[str, str]

    def checkout(self, target: Path) -> Path:
        """Return a checkout that takes what is served for the real releases and images."""
        checkout = copy_checkout(target)
        # A machine has no Python environment yet.
        (checkout / ".venv").unlink()
        pins = checkout / "devenv" / "versions.toml"
        text = pins.read_text()
        for tool, sha256 in self.sha256.items():
            real = versions.release(tool).sha256["linux-amd64"]
            text = text.replace(real, sha256)
        pins.write_text(text)
        files = ["ctlptl.yaml", "docker/backend.Dockerfile", "docker/frontend.Dockerfile", "docker/compose.yaml"]
        for path in [*map(checkout.joinpath, files), *checkout.glob("k8s/**/*.yaml")]:
            text = path.read_text()
            for name, digest in self.digests.items():
                short = re.escape(name.removeprefix("library/"))
                text = re.sub(rf"({short}@)sha256:[0-9a-f]{{64}}", rf"\g<1>{digest}", text)
            path.write_text(text)
        return checkout


def build(folder: Path) -> Internet:
    """Put all that is served into the folder, after building what registry-only mode has not built yet."""
    # With an engine, which outlives this process.
    subprocess.run([sys.executable, "-m", "devenv", "prepare"], cwd=paths.CHECKOUT, check=True)
    programs = [tool.program.step() for tool in ALL]
    run_steps("Stand-ins", [*programs, *images.stand_in_steps(), images.REGISTRY.step(), *node.steps()])
    certify(folder)
    shutil.copy(BUNDLE, folder / "authorities.pem")
    with (folder / "authorities.pem").open("ab") as bundle:
        bundle.write((folder / "authority.pem").read_bytes())
    sha256 = {tool.name: release(folder, tool) for tool in ALL}
    (folder / "releases" / "dl.k8s.io" / "release" / "stable.txt").write_text(f"v{versions.release('kubectl').version}")
    return Internet(folder, sha256, push_images(folder))


def certify(folder: Path) -> None:
    """Write an authority of the test's own, and a certificate of it for every host."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    authority.issue_cert(*ADDRESSES).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")


def release(folder: Path, tool: Tool) -> str:
    """Pack the program as its release is packed; return the sha256."""
    address = urlsplit(versions.release(tool.name).download()[0])
    # Where GitHub keeps files, which every other address of a release leads to in the end.
    host = "dl.k8s.io" if address.hostname == "dl.k8s.io" else "release-assets.githubusercontent.com"
    path = address.path.removeprefix("/dl/")
    if tool.name == "kind":
        path = f"/kubernetes-sigs/kind/releases/download/{path}"
    target = folder / "releases" / host / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    program = tool.program.binary(tool.name)
    if path.endswith(".tar.gz"):
        with tarfile.open(target, "w:gz", compresslevel=1) as tar:
            for companion in COMPANIONS:
                tar.add(paths.CHECKOUT / companion, companion)
            # What is on PATH may be a link.
            tar.add(program.resolve(), tool.name)
    else:
        shutil.copy(program, target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def push_images(folder: Path) -> dict[str, str]:
    """Fill a registry with the images; return the digest of each."""
    docker("create", "--name", "todo-release-registry", images.REGISTRY.tag)
    try:
        docker("cp", "todo-release-registry:/usr/bin/docker-registry", folder / "docker-registry")
    finally:
        docker("rm", "todo-release-registry")
    (kind_name,) = re.findall(r"image: (kindest/node:\S+)@", (paths.CHECKOUT / "ctlptl.yaml").read_text())
    with registry(folder) as address:
        sources = {**IMAGES, kind_name: trusting_node(folder)}
        return {name: push(address, name, source) for name, source in sources.items()}


def trusting_node(folder: Path) -> str:
    """Build a node image that trusts the test's authority; return its name."""
    context = folder / "node"
    context.mkdir()
    shutil.copy(folder / "authorities.pem", context)
    (context / "Dockerfile").write_text(f"FROM {node.TAG}\nCOPY authorities.pem {BUNDLE}\n")
    docker("build", "--tag", "todo-release/node", context)
    return "todo-release/node"


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run the registry on this machine's loopback, without TLS; the machine's own runs it again with TLS."""
    storage = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder / "images")}}}
    tls = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.pem")}
    served = {"addr": f"{ADDRESSES['registry-1.docker.io']}:443", "tls": tls}
    # JSON is YAML.
    (folder / "registry-tls.yml").write_text(json.dumps({**storage, "http": served}))
    with reserved_port() as port, (folder / "registry.log").open("wb") as log:
        address = f"127.0.0.1:{port}"
        configuration = folder / "registry.yml"
        configuration.write_text(json.dumps({**storage, "http": {"addr": address}}))
        process = subprocess.Popen([folder / "docker-registry", "serve", configuration], stdout=log, stderr=log)
        try:
            await_answer(f"http://{address}/v2/")
            yield address
        finally:
            process.terminate()
            process.wait()


def await_answer(address: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            httpx.get(address)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def push(address: str, name: str, source: str) -> str:
    """Push the image under the name; return its digest."""
    target = f"{address}/{name}"
    docker("tag", source, target)
    try:
        docker("push", "--quiet", target)
    finally:
        docker("image", "rm", target)
    repository, _, tag = name.partition(":")
    answer = httpx.head(f"http://{address}/v2/{repository}/manifests/{tag}", headers={"Accept": ACCEPT})
    return answer.raise_for_status().headers["Docker-Content-Digest"]


def docker(*arguments: str | Path) -> str:
    return output(["docker", *arguments])
