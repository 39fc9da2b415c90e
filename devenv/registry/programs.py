"""The programs that registry-only mode builds, and what each is for."""

from devenv.registry.golang import Program

_KUBERNETES_MODULE = "k8s.io/kubernetes"


def _kubernetes() -> Program:
    names = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubeadm",
        "kubectl",
        "kubelet",
    ]
    packages = {name: f"{_KUBERNETES_MODULE}/cmd/{name}" for name in names}
    version = Program("kubernetes", 0, {}).version(_KUBERNETES_MODULE)
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    ldflags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    return Program("kubernetes", 380, packages, ldflags)


def _tilt() -> Program:
    version = Program("tilt", 0, {}).version("github.com/tilt-dev/tilt")
    return Program(
        "tilt",
        260,
        {"tilt": "github.com/tilt-dev/tilt/cmd/tilt"},
        # Without a version Tilt takes itself for a development build and looks for its web server's sources.
        ldflags=f"-X main.version={version} -X main.date=1970-01-01",
        # tree-sitter, which Tilt links, is written in C.
        cgo=True,
        # Tilt does not start without a page; the module carries none.
        web_page="github.com/tilt-dev/tilt/pkg/assets/build/index.html",
    )


KUBERNETES = _kubernetes()
TILT = _tilt()
KIND = Program("kind", 25, {"kind": "sigs.k8s.io/kind"})
CTLPTL = Program("ctlptl", 90, {"ctlptl": "github.com/tilt-dev/ctlptl/cmd/ctlptl"})
_BUILDX_MODULE = "github.com/docker/buildx"
BUILDX = Program(
    "buildx",
    90,
    {"docker-buildx": f"{_BUILDX_MODULE}/cmd/buildx"},
    ldflags=f"-X {_BUILDX_MODULE}/version.Version=v{Program('buildx', 0, {}).version(_BUILDX_MODULE)}",
)
COMPOSE = Program(
    "compose",
    120,
    {"docker-compose": "github.com/docker/compose/v5/cmd"},
    ldflags="-X github.com/docker/compose/v5/internal.Version="
    f"v{Program('compose', 0, {}).version('github.com/docker/compose/v5')}",
)

# Inside the node image.
CONTAINERD = Program(
    "containerd",
    65,
    {
        name: f"github.com/containerd/containerd/v2/cmd/{name}"
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
)
CRICTL = Program("crictl", 30, {"crictl": "sigs.k8s.io/cri-tools/cmd/crictl"})
ETCD = Program("etcd", 40, {"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"})
COREDNS = Program("coredns", 60, {"coredns": "."})
NETWORK_POLICIES = Program(
    "kube-network-policies", 60, {"kube-network-policies": "sigs.k8s.io/kube-network-policies/cmd"}
)
STORAGE = Program("local-path-provisioner", 60, {"local-path-provisioner": "github.com/rancher/local-path-provisioner"})

FOR_THE_NODE = [KUBERNETES, CONTAINERD, CRICTL, ETCD, COREDNS, NETWORK_POLICIES, STORAGE]
