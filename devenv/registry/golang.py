"""Go programs built from the module proxy: one small module per program under go/, its go.sum committed."""

import functools
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from devenv import paths, versions, wheels
from devenv.process import Log, output, run, succeeds
from devenv.progress import Step

_MODULES = Path(__file__).parent / "go"
_CACHE = paths.CACHE / "go"


@dataclass(frozen=True)
class Program:
    """What to build from the module in go/<name>.

    estimate: seconds on two cores, cold. packages: output name -> import path.
    ldflags: beyond stripping. web_page: see _vendored.
    """

    name: str
    estimate: float
    packages: dict[str, str]
    ldflags: str = ""
    cgo: bool = False
    web_page: str = ""

    @property
    def module(self) -> Path:
        return _MODULES / self.name

    @property
    def folder(self) -> Path:
        """The folder of the built programs, named after everything that they are made of."""
        digest = hashlib.sha256(repr((self.packages, self.ldflags, self.cgo)).encode())
        for file in sorted(self.module.iterdir()):
            digest.update(file.read_bytes())
        return _CACHE / "programs" / f"{self.name}-{digest.hexdigest()[:12]}"

    def binary(self, name: str) -> Path:
        return self.folder / name

    def version(self, module: str) -> str:
        """The version of `module` that go.mod pins, without its v."""
        found = re.search(
            rf"^\s*(?:require )?{re.escape(module)} v(\S+)", (self.module / "go.mod").read_text(), re.MULTILINE
        )
        if not found:
            raise LookupError(f"{module} is not in {self.module / 'go.mod'}")
        return found[1]

    def step(self) -> Step:
        return Step(f"build {self.name}", self.estimate, self.folder.is_dir, self._build)

    def _build(self, log: Log) -> None:
        parts = self.folder.with_suffix(".part")
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        source, mode = (self._vendored(log), "vendor") if self.web_page else (self.module, "readonly")
        env = {**environment(log), "CGO_ENABLED": "1" if self.cgo else "0"}
        for name, package in self.packages.items():
            flags = ["-trimpath", "-buildvcs=false", f"-mod={mode}", "-ldflags", f"-s -w {self.ldflags}".strip()]
            run([_go(log), "build", *flags, "-o", parts / name, package], log, env=env, cwd=source)
        parts.rename(self.folder)

    def _vendored(self, log: Log) -> Path:
        """A copy of the module with its dependencies beside it, for adding the web page that the release embeds."""
        copy = _CACHE / "vendored" / self.name
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for file in ("go.mod", "go.sum"):
            shutil.copy(self.module / file, copy / file)
        run([_go(log), "mod", "vendor"], log, env=environment(log), cwd=copy)
        page = copy / "vendor" / self.web_page
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.module / "index.html", page)
        return copy


def environment(log: Log) -> dict[str, str]:
    """Caches of our own, so that they can be found and deleted; the toolchain as found, never fetched by Go itself."""
    return {
        "GOMODCACHE": str(_CACHE / "mod"),
        "GOCACHE": str(_CACHE / "build"),
        "GOFLAGS": "-modcacherw",
        "GOTOOLCHAIN": "local",
        "GOROOT": output([_go(log), "env", "GOROOT"], env={"GOTOOLCHAIN": "local"}),
    }


def source_of(program: Program, module: str, log: Log) -> Path:
    """The downloaded source folder of `module` as pinned by `program`."""
    # Nothing to do where it is there; the listing has no folder for a module that is not.
    run([_go(log), "mod", "download", module], log, env=environment(log), cwd=program.module)
    listing: list[str | Path] = [_go(log), "list", "-m", "-f", "{{.Dir}}", module]
    return Path(output(listing, env=environment(log), cwd=program.module))


@functools.cache
def _required() -> tuple[int, ...]:
    """The newest Go version that one of the modules asks for."""
    found = [re.search(r"^go (\S+)", (m / "go.mod").read_text(), re.MULTILINE) for m in _MODULES.iterdir()]
    return max(versions.numbers(match[1]) for match in found if match)


def _go(log: Log) -> Path:
    """A Go command that is new enough: the machine's own, or the one in the pinned wheel."""
    own = shutil.which("go")
    if own and succeeds([own, "version"]):
        version = output([own, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}).removeprefix("go")
        if versions.numbers(version) >= _required():
            return Path(own)
    return _brought_go(log)


def _brought_go(log: Log) -> Path:
    root = wheels.unpacked("go", log)
    go = next(root.rglob("bin/go"))
    for program in [*go.parent.iterdir(), *(go.parent.parent / "pkg" / "tool").rglob("*")]:
        program.chmod(0o755)
    return go
