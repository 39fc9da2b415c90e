"""The kind cluster and its registry, as ctlptl.yaml declares them."""

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from devenv import paths, tools
from devenv.failure import Failure
from devenv.process import output, run, succeeds
from devenv.progress import report, run_steps
from devenv.registry import images, node, programs
from devenv.source import REGISTRY, source

_NAME = "todo"
CONTEXT = f"kind-{_NAME}"
_DECLARATION = paths.CHECKOUT / "ctlptl.yaml"
_RENDERED = paths.STATE / "ctlptl.yaml"
_REGISTRY = "todo-registry"
_NODE = f"{_NAME}-control-plane"
PAGE = "http://localhost:8080"
_PAGE_PORT = 8080
_REGISTRY_PORT = 5005
_READY_SECONDS = 180


def ensure() -> None:
    """A cluster that answers. Containers that were stopped or killed are started again with their data."""
    _require_loopback()
    if source() == REGISTRY:
        buildx = tools.plugin_step(programs.BUILDX, "buildx", "0.13")
        run_steps("Images", [buildx, *images.stand_in_steps(), images.REGISTRY.step(), *node.steps()])
        images.write_stand_ins()
    else:
        paths.STAND_INS.unlink(missing_ok=True)
    _start_stopped()
    if exists():
        if not succeeds(["kubectl", "config", "get-contexts", CONTEXT]):
            with report(f"write {CONTEXT} to kubeconfig") as log:
                run(["kind", "export", "kubeconfig", "--name", _NAME], log)
        # ctlptl takes a cluster that does not answer yet for a lost one, and makes a new one without the data.
        _await_ready()
    else:
        require_free(_PAGE_PORT, "the page")
    if not _exists(_REGISTRY):
        require_free(_REGISTRY_PORT, "the image registry")
    with report("cluster and registry") as log:
        run(["ctlptl", "apply", "-f", _declaration()], log, env=without_proxy(os.environ))
        # ctlptl joins the two only when it makes the cluster, not when the registry alone was made again.
        if _REGISTRY not in output(["docker", "network", "inspect", "--format", "{{json .Containers}}", "kind"]):
            run(["docker", "network", "connect", "kind", _REGISTRY], log)
        _await_ready()


def stop() -> None:
    """Stop the cluster's containers; volumes and images stay."""
    for container in (_NODE, _REGISTRY):
        if _is_running(container):
            with report(f"stop {container}") as log:
                run(["docker", "stop", container], log)


def delete() -> None:
    """Delete the cluster with all its volumes, and the registry with all its images."""
    with report("delete the cluster") as log:
        run(["ctlptl", "delete", "--ignore-not-found", "-f", _declaration()], log)
        # ctlptl knows those of kubeconfig alone.
        run(["kind", "delete", "cluster", "--name", _NAME], log)


def exists() -> bool:
    """Tell whether there is one, running or not."""
    return _exists(_NODE)


def is_ready() -> bool:
    return succeeds(["kubectl", "--context", CONTEXT, "get", "--raw", "/readyz"], timeout=10)


def holder(port: int) -> str:
    """Who listens on the loopback port, as far as this user may know; empty when nobody does."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            return ""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:] if Path("/proc/net").is_dir() else []:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return "another process"


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY with the registry in it, where there is a proxy.

    kind gives the node the variables of the environment, and adds the addresses of the cluster; the node asks the
    registry by its name.
    """
    given = {name.lower(): value for name, value in sorted(environment.items(), reverse=True) if value}
    if not {"http_proxy", "https_proxy"} & given.keys():
        return {}
    without = ",".join(filter(None, [given.get("no_proxy"), _REGISTRY]))
    return {"NO_PROXY": without, "no_proxy": without}


def _declaration() -> Path:
    """ctlptl.yaml, with the images of registry-only mode in it where that is in force."""
    if source() != REGISTRY:
        return _DECLARATION
    text = _DECLARATION.read_text()
    text, nodes = re.subn(r"image: kindest/node\S+", f"image: {node.TAG}", text)
    text, registries = re.subn(r"image: docker\.io/library/registry\S+", f"image: {images.REGISTRY.tag}", text)
    if (nodes, registries) != (1, 1):
        raise Failure(
            str(_DECLARATION), "does not name one node image and one registry image", "git checkout ctlptl.yaml"
        )
    _RENDERED.parent.mkdir(parents=True, exist_ok=True)
    _RENDERED.write_text(text)
    return _RENDERED


def _start_stopped() -> None:
    """Start what exists and does not run; ctlptl would throw a stopped registry's images away."""
    # The node first: addresses are given out in the order of starting, and the node's must not change.
    for container in (_NODE, _REGISTRY):
        if _exists(container) and not _is_running(container):
            if container == _NODE:
                require_free(_PAGE_PORT, "the page")
            with report(f"start {container}") as log:
                run(["docker", "start", container], log)


def _await_ready() -> None:
    """Wait until the API answers and the node takes pods."""
    deadline = time.monotonic() + _READY_SECONDS
    ready = ["kubectl", "--context", CONTEXT, "wait", "--for=condition=Ready", "node", "--all", "--timeout=5s"]
    while not (is_ready() and succeeds(ready)):
        if time.monotonic() > deadline:
            raise Failure(
                "cluster", f"not ready after {_READY_SECONDS} s", f"docker logs {_NODE}; make clean starts anew"
            )
        time.sleep(0.5)


def require_free(port: int, purpose: str) -> None:
    """Raise Failure, naming the holder, when the loopback port is taken."""
    if taken := holder(port):
        raise Failure(
            f"port {port}",
            f"{taken} listens on it, and {purpose} needs it",
            "stop that process, then run the same command again",
        )


def _require_loopback() -> None:
    """Raise Failure where the page's and the registry's name does not lead to where they listen."""
    try:
        addresses = {str(address[0]) for *_, address in socket.getaddrinfo("localhost", None)}
    except OSError:
        addresses = set()
    if "127.0.0.1" not in addresses:
        raise Failure(
            "the name localhost",
            f"it leads to {', '.join(sorted(addresses)) or 'nothing'}, and the page and the registry are at 127.0.0.1",
            "add the line 127.0.0.1 localhost to /etc/hosts, then run the same command again",
        )


def _exists(container: str) -> bool:
    return succeeds(["docker", "container", "inspect", container])


def _is_running(container: str) -> bool:
    inspect = ["docker", "container", "inspect", "--format", "{{.State.Running}}", container]
    return _exists(container) and output(inspect) == "true"
