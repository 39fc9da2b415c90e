"""The kind node image: Kubernetes and its companions, put together by `kind build node-image`."""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from devenv import paths
from devenv.process import Log, output, run
from devenv.progress import Step
from devenv.registry import images
from devenv.registry.golang import source_of
from devenv.registry.programs import FOR_THE_NODE, KIND, KUBERNETES

VERSION = f"v{KUBERNETES.version('k8s.io/kubernetes')}"
TAG = f"todo-devenv/node:{VERSION}"
_RECIPE = Path(__file__).parent / "recipes" / "node"
_KIND_BASE = "todo-devenv/kind-base:bookworm"
_BASE = "todo-devenv/node-base:bookworm"
_ARGUMENTS = {"DEBIAN": images.debian_tag("bookworm"), "KIND_BASE": _KIND_BASE}


def steps() -> list[Step]:
    """The image and the programs in it. Nothing when the image is there, even if the programs are gone by now."""
    image = _image_step()
    return [] if image.is_done() else [*(program.step() for program in [KIND, *FOR_THE_NODE]), image]


def _image_step() -> Step:
    digest = hashlib.sha256(repr([program.folder.name for program in [KIND, *FOR_THE_NODE]]).encode())
    for file in sorted(_RECIPE.iterdir()):
        digest.update(file.read_bytes())
    marker = paths.CACHE / "node-image" / digest.hexdigest()[:12]

    def is_done() -> bool:
        # kind sets no label of ours, so the image's id is remembered beside the recipe that made it.
        return marker.is_file() and _id(TAG) == marker.read_text()

    def build(log: Log) -> None:
        _build(log)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(_id(TAG))

    return Step(f"image {TAG}", 120, is_done, build)


def _id(tag: str) -> str:
    return output(["docker", "image", "ls", "--no-trunc", "--quiet", tag])


def _build(log: Log) -> None:
    kind_source = source_of(KIND, "sigs.k8s.io/kind", log)
    images.build(_KIND_BASE, kind_source / "images" / "base", log, {"BASE_IMAGE": _ARGUMENTS["DEBIAN"]}, target="base")
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as folder:
        context = Path(folder) / "context"
        _fill(context, log)
        images.build(_BASE, context, log, _ARGUMENTS, target="base")
        tags = _image_tags(kind_source)
        for target, tag in tags.items():
            images.build(tag, context, log, _ARGUMENTS, target=target)
        server = Path(folder) / "kubernetes"
        _fill_server(server, tags, log)
        archive = Path(folder) / "server.tgz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(server, "kubernetes")
        run(
            [
                KIND.binary("kind"),
                "build",
                "node-image",
                "--type",
                "file",
                "--base-image",
                _BASE,
                "--image",
                TAG,
                archive,
            ],
            log,
            env={"TMPDIR": folder},
        )
        images.build(TAG, context, log, {**_ARGUMENTS, "NODE": TAG}, target="node")


def _fill(context: Path, log: Log) -> None:
    """The build context: the recipe, every program, and the two files that come from elsewhere."""
    shutil.copytree(_RECIPE, context)
    for program in FOR_THE_NODE:
        for name in program.packages:
            os.link(program.binary(name), context / name)
    pause = source_of(KUBERNETES, "k8s.io/kubernetes", log) / "build" / "pause" / "linux" / "pause.c"
    shutil.copy(pause, context)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)


def _image_tags(kind_source: Path) -> dict[str, str]:
    """Dockerfile target -> the name under which kubeadm, kind's manifests or containerd ask for it."""
    kubeadm = output([KUBERNETES.binary("kubeadm"), "config", "images", "list", "--kubernetes-version", VERSION])
    constants = "".join(file.read_text() for file in (kind_source / "pkg/build/nodeimage").glob("const_*.go"))
    containerd = (kind_source / "images/base/files/etc/containerd/config.toml").read_text()
    names = [
        *(name for name in kubeadm.splitlines() if "pause" not in name),
        *re.findall(r'"docker\.io/(kindest/\S+)"', constants),
        *re.findall(r'sandbox_image = "(\S+)"', containerd),
    ]
    return {name.rpartition(":")[0].rpartition("/")[2]: name for name in names}


def _fill_server(server: Path, tags: dict[str, str], log: Log) -> None:
    """The layout of a Kubernetes server release, with the images that are not part of one beside the API server."""
    binaries = server / "server" / "bin"
    binaries.mkdir(parents=True)
    (server / "version").write_text(VERSION)
    for name in ("kubeadm", "kubelet", "kubectl"):
        os.link(KUBERNETES.binary(name), binaries / name)
    own = ("kube-controller-manager", "kube-scheduler", "kube-proxy")
    extra = [tag for name, tag in tags.items() if name not in own]
    for name in ("kube-apiserver", *own):
        images.save(extra if name == "kube-apiserver" else [tags[name]], binaries / f"{name}.tar", log)
        (binaries / f"{name}.docker_tag").write_text(VERSION)
