"""Stand-in images under names of our own, built from Debian packages and our Go programs."""

import functools
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from devenv import apt, paths, python
from devenv.process import Log, output, run, succeeds
from devenv.progress import Step

_RECIPES = Path(__file__).parent / "recipes"
_LABEL = "todo-devenv.recipe"
# As in the official base images: apt's caches would be most of a small layer.
_APT_CONFIGURATION = 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\nAcquire::Languages "none";\n'
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Image:
    """An image and what it is made of.

    context: puts further files into the build context, beside those of the recipe folder.
    inputs: whatever else decides about the content, such as the recipe of its parent.
    """

    tag: str
    recipe: str
    estimate: float
    arguments: dict[str, str] = field(default_factory=dict)
    context: Callable[[Path, Log], None] | None = None
    inputs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Changes with everything that the image is made of."""
        seed = hashlib.sha256(repr((sorted(self.arguments.items()), self.inputs)).encode())
        for file in sorted((_RECIPES / self.recipe).iterdir()):
            seed.update(file.read_bytes())
        return seed.hexdigest()[:12]

    def is_present(self) -> bool:
        return recipe_of(self.tag) == self.digest

    def step(self) -> Step:
        return Step(f"image {self.tag}", self.estimate, self.is_present, self.build)

    def build(self, log: Log) -> None:
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            shutil.copytree(_RECIPES / self.recipe, context, dirs_exist_ok=True)
            if self.context:
                self.context(context, log)
            build(self.tag, context, log, self.arguments, label=self.digest)


def build(tag: str, context: Path, log: Log, arguments: dict[str, str], *, target: str = "", label: str = "") -> None:
    """`docker build` with BuildKit. label: remembered as the recipe, see recipe_of."""
    flags = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    if target:
        flags += ["--target", target]
    if label:
        flags += ["--label", f"{_LABEL}={label}"]
    run(["docker", "build", "--tag", tag, *flags, context], log, env={"DOCKER_BUILDKIT": "1"})


def recipe_of(tag: str) -> str:
    """The recipe digest that the present image was built with; empty when there is no such image."""
    inspect = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', tag]
    return output(inspect) if succeeds(inspect) else ""


def debian_tag(suite: str) -> str:
    return f"todo-devenv/debian:{suite}"


def debian_step(suite: str) -> Step:
    tag = debian_tag(suite)
    digest = _debian_digest()
    return Step(f"image {tag}", 60, lambda: recipe_of(tag) == digest, lambda log: _bootstrap(suite, tag, digest, log))


@functools.cache
def _debian_digest() -> str:
    # The host's certificates are part of the image: behind TLS interception nothing can be fetched without them.
    parts = _CA_BUNDLE.read_text() + _pip_configuration() + _APT_CONFIGURATION
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def _bootstrap(suite: str, tag: str, digest: str, log: Log) -> None:
    if not shutil.which("debootstrap"):
        apt.require_root("debootstrap", "debootstrap")
        apt.install(["debootstrap"], log)
    with tempfile.TemporaryDirectory(dir=_created(paths.CACHE)) as folder:
        root = Path(folder) / "root"
        run(["debootstrap", "--variant=minbase", suite, root, apt.mirror()], log)
        for waste in ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]:
            shutil.rmtree(root / waste)
            (root / waste).mkdir()
        bundle = root / str(_CA_BUNDLE).lstrip("/")
        bundle.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_CA_BUNDLE, bundle)
        (root / "etc/apt/apt.conf.d/50-small-layers").write_text(_APT_CONFIGURATION)
        (root / "etc/pip.conf").write_text(_pip_configuration())
        archive = Path(folder) / "root.tar"
        run(["tar", "--create", "--file", archive, "--directory", root, "."], log)
        changes = [f"ENV SSL_CERT_FILE={_CA_BUNDLE} PIP_CERT={_CA_BUNDLE}", f"LABEL {_LABEL}={digest}", 'CMD ["bash"]']
        flags = [word for change in changes for word in ("--change", change)]
        run(["docker", "import", *flags, archive, tag], log)


def _pip_configuration() -> str:
    """The package index that this machine's pip is set to, for pip inside the images. Empty for pip's default."""
    index = python.pip_index()
    return f"[global]\nindex-url = {index}\n" if index else ""


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _python_tree(context: Path, log: Log) -> None:
    shutil.copytree(python.brought(log), context / "python", symlinks=True)


def _on_debian(tag: str, suite: str, estimate: float, context: Callable[[Path, Log], None] | None = None) -> Image:
    recipe = tag.rpartition("/")[2].partition(":")[0]
    return Image(tag, recipe, estimate, {"DEBIAN": debian_tag(suite)}, context, (_debian_digest(),))


UBUNTU = _on_debian("todo-devenv/ubuntu:24.04", "bookworm", 20, _python_tree)
REGISTRY = _on_debian("todo-devenv/registry:2", "bookworm", 20)
POSTGRES = _on_debian("todo-devenv/postgres:17", "trixie", 45)


def stand_in_steps() -> list[Step]:
    """What takes the place of the base images that the Dockerfiles and manifests pin."""
    return [debian_step("bookworm"), UBUNTU.step(), debian_step("trixie"), POSTGRES.step()]


def write_stand_ins() -> None:
    """Tell the Tiltfile and compose which images to use instead of the committed ones."""
    paths.replace(paths.STAND_INS, json.dumps({"ubuntu": UBUNTU.tag, "postgres": POSTGRES.tag}, indent=2) + "\n")


def save(tags: list[str], archive: Path, log: Log) -> None:
    """`docker save` for `kind build node-image`.

    kind takes only an archive's first manifest as present and pulls the others, unless a `repositories`
    entry that names them all comes first; it also wants docker.io spelt out there.
    """
    plain = archive.with_suffix(".saved")
    run(["docker", "save", "--output", plain, *tags], log)
    with tarfile.open(plain) as source, tarfile.open(archive, "w") as target:
        manifest = source.extractfile("manifest.json")
        assert manifest is not None
        repositories: dict[str, dict[str, str]] = {}
        for entry in json.load(manifest):
            for tag in entry["RepoTags"]:
                name, _, version = tag.rpartition(":")
                name = f"docker.io/{name}" if name.startswith("kindest/") else name
                repositories.setdefault(name, {})[version] = Path(entry["Config"]).stem
        listing = Path(str(archive) + ".repositories")
        listing.write_text(json.dumps(repositories))
        target.add(listing, "repositories")
        for member in source:
            if member.name != "repositories":
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
    plain.unlink()
