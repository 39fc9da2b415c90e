"""Every check behind `make lint`. All of them run, then a summary follows; the exit code is 1 when any failed."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
MAXIMUM_BYTES = 500 * 1024
CREDENTIALS = Path("k8s/components/generated-secret/database.env")
# Nothing answers there: a Tiltfile is evaluated without a cluster.
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: kind-todo
clusters: [{name: kind-todo, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: kind-todo, context: {cluster: kind-todo, user: kind-todo}}]
users: [{name: kind-todo, user: {}}]
"""
SECRET = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
    r"|\b(?:AKIA[0-9A-Z]{16}|gh[a-z]_\w{36}|github_pat_\w{22,}|glpat-[\w-]{20}|xox[a-z]-[\w-]{10,})\b"
)
CONVENTIONAL = re.compile(
    r"(build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test)(\([a-z0-9_,. -]+\))?!?: \S.*"
)


class NotHereError(Exception):
    """A tool that the locked requirements do not bring is missing; its check says so and counts as no failure."""


@dataclass(frozen=True)
class Check:
    """One line of the table.

    command: its arguments are followed by the selected paths; a function gets the paths and returns its findings.
    files: selects paths, relative to the root.
    """

    name: str
    command: Sequence[str] | Callable[[Sequence[Path]], str]
    files: Callable[[Path], bool]

    def findings(self, checkout: Sequence[Path]) -> str:
        """What is wrong, as the tool prints it; empty when nothing is. Raises NotHereError."""
        selected = [path for path in checkout if self.files(path)]
        if not selected:
            return "no file matches: correct this check in tests/lint.py"
        if callable(self.command):
            return self.command(selected)
        return run([*self.command, *map(str, selected)])


def main() -> int:
    checkout = tracked()
    failed = []
    for check in CHECKS:
        try:
            findings = check.findings(checkout)
        except NotHereError as missing:
            print(f"--    {check.name}: not checked: {missing}", flush=True)
            continue
        print(f"{'FAIL' if findings else 'ok':5} {check.name}", flush=True)
        if findings:
            failed.append(check.name)
            print(findings, flush=True)
    print(f"\n{len(failed)} of {len(CHECKS)} checks failed: {', '.join(failed)}" if failed else "\nAll clean.")
    return 1 if failed else 0


def tracked() -> list[Path]:
    """The files that a commit of everything would hold, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in listing.split("\0") if name]
    return [path for path in sorted(paths) if (ROOT / path).is_file()]


def run(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """What the command prints when it fails; empty when it succeeds."""
    environment = {**ENVIRONMENT, **(env or {})}
    program = shutil.which(command[0], path=environment["PATH"])
    if not program:
        return f"{command[0]} is not installed. `make lint` installs requirements-dev.txt, where it belongs."
    result = subprocess.run(
        [program, *command[1:]], cwd=cwd, env=environment, check=False, capture_output=True, text=True
    )
    if not result.returncode:
        return ""
    return f"{result.stdout}{result.stderr}".strip() or f"{command[0]} exited with {result.returncode}"


# --- selections of files --------------------------------------------------------------------------------------------


def named(*patterns: str) -> Callable[[Path], bool]:
    """Paths that match a shell pattern; an asterisk also stands for slashes."""
    return lambda path: any(fnmatch.fnmatchcase(str(path), pattern) for pattern in patterns)


def is_shell(path: Path) -> bool:
    """By its name, or without a suffix by its first line."""
    if path.suffix:
        return path.suffix == ".sh"
    with (ROOT / path).open("rb") as file:
        return bool(re.match(rb"#!.*\b(ba|da)?sh\b", file.readline()))


def anything(_: Path) -> bool:
    return True


# --- checks that no tool brings -------------------------------------------------------------------------------------


def evaluate_tiltfile(paths: Sequence[Path]) -> str:
    """The Tiltfile as `tilt up` and as `tilt ci` take it, in a copy that has only what a fresh clone has."""
    if not shutil.which("tilt", path=ENVIRONMENT["PATH"]):
        raise NotHereError("tilt is not here; make up brings it")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        for path in paths:
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, clone / path)
        (clone / CREDENTIALS).write_text("postgres_password=1\nmigrate_password=2\napp_password=3\n")
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG)
        # Tilt evaluates a file without a cluster only under a subcommand of its own.
        is_ci, up = "config.tilt_subcommand == 'ci'", (ROOT / "Tiltfile").read_text()
        if is_ci not in up:
            return f"the Tiltfile does not tell `tilt ci` apart by {is_ci}; correct this check in tests/lint.py"
        (clone / "Tiltfile.ci").write_text(up.replace(is_ci, "True"))
        environment = {"KUBECONFIG": str(kubeconfig), "TILT_DISABLE_ANALYTICS": "1"}
        evaluate = ["tilt", "alpha", "tiltfile-result", "--file"]
        return "\n".join(
            filter(None, (run([*evaluate, name], cwd=clone, env=environment) for name in ("Tiltfile", "Tiltfile.ci")))
        )


def read_compose_file(paths: Sequence[Path]) -> str:
    """Docker Compose's own reading, which knows the schema and every reference."""
    if run(["docker", "compose", "version"]):
        raise NotHereError("docker compose is not here")
    passwords = dict.fromkeys(("POSTGRES_PASSWORD", "MIGRATE_PASSWORD", "APP_PASSWORD"), "1")
    files = [word for path in paths for word in ("--file", str(path))]
    return run(["docker", "compose", "--env-file", os.devnull, *files, "config", "--quiet"], env=passwords)


def search_content(paths: Sequence[Path]) -> str:
    """What belongs to one machine or to nobody else: paths, registries, secrets."""
    forbidden = {
        "a path of this machine": machine_paths(),
        "a package registry's host": registry_hosts(),
        "a secret": SECRET,
    }
    if passwords := own_passwords():
        forbidden["a password of this machine's database"] = passwords
    findings = []
    for path in paths:
        try:
            lines = (ROOT / path).read_text().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            findings += [f"{path}:{number}: {what}" for what, pattern in forbidden.items() if pattern.search(line)]
    return "\n".join(findings)


def machine_paths() -> re.Pattern[str]:
    """Home folders, and where this checkout lies. A cache mount's target is a path inside the image."""
    places = "|".join(re.escape(str(place)) for place in (ROOT, Path.home()))
    return re.compile(rf"(?<![\w.*}}])(?<!target=)(?:{places}|/home/\w+|/Users/\w+)(?![\w.-])")


def registry_hosts() -> re.Pattern[str]:
    """The hosts that this machine's pip, uv, npm, go and apt are configured for."""
    commands = (
        [sys.executable, "-m", "pip", "config", "list"],
        ["npm", "config", "get", "registry"],
        ["go", "env", "GOPROXY"],
    )
    texts = [value for name, value in os.environ.items() if re.match("PIP_|UV_|NPM_CONFIG_|GO", name.upper())]
    present = [command for command in commands if shutil.which(command[0])]
    texts += [subprocess.run(command, check=False, capture_output=True, text=True).stdout for command in present]
    sources = Path("/etc/apt")
    lists = [
        *sources.glob("sources.list"),
        *sources.glob("sources.list.d/*.list"),
        *sources.glob("sources.list.d/*.sources"),
    ]
    texts += [file.read_text() for file in lists]
    hosts = {host for text in texts for host in re.findall(r"://(?:[^/@\s]*@)?([\w.-]+)", text)}
    # Without any name the expression would match everything.
    names = sorted(hosts - {"localhost", "127.0.0.1"}) or ["registry.invalid"]
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?![\w-])")


def own_passwords() -> re.Pattern[str] | None:
    """The passwords that devenv has made here; None before the first run."""
    if not (ROOT / CREDENTIALS).is_file():
        return None
    values = [line.partition("=")[2] for line in (ROOT / CREDENTIALS).read_text().splitlines() if line]
    return re.compile("|".join(map(re.escape, values)))


def measure_sizes(paths: Sequence[Path]) -> str:
    """A clone stays small: no file above 500 KiB."""
    sizes = {path: (ROOT / path).stat().st_size for path in paths}
    return "\n".join(
        f"{path}: {size} bytes, {MAXIMUM_BYTES} are allowed" for path, size in sizes.items() if size > MAXIMUM_BYTES
    )


def compare_tree(paths: Sequence[Path]) -> str:
    """The table in CONTRIBUTING.md names every folder of the top level, and no other."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    there = {path.parts[0] for path in paths if len(path.parts) > 1}
    documented = set(re.findall(r"^\| `([\w.]+)/`", text, re.MULTILINE))
    findings = [f"{name}/: not in the table of CONTRIBUTING.md" for name in sorted(there - documented)]
    findings += [f"{name}/: in the table of CONTRIBUTING.md, but not there" for name in sorted(documented - there)]
    return "\n".join(findings)


def read_commits(_paths: Sequence[Path]) -> str:
    """The subjects of the commits since main, which the changelog is written from."""
    known = (name for name in ("origin/main", "main") if not run(["git", "rev-parse", "--verify", "--quiet", name]))
    if not (main := next(known, "")):
        raise NotHereError("main is not here: git fetch origin main")
    listing = subprocess.run(
        ["git", "log", "--no-merges", "--format=%h %s", f"{main}..HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = [line for line in listing.stdout.splitlines() if not CONVENTIONAL.fullmatch(line.partition(" ")[2])]
    return "\n".join(f"{line}: not a Conventional Commit; see CONTRIBUTING.md" for line in wrong)


# --- the table ------------------------------------------------------------------------------------------------------

PYTHON = named("*.py")
WARMFORK = named("warmfork/*.py")
DOCKERFILES = named("*.Dockerfile", "*/Dockerfile")

CHECKS = (
    Check("ruff check", ["ruff", "check", "--quiet", "--output-format=concise"], PYTHON),
    Check("ruff format", ["ruff", "format", "--check", "--quiet", "--output-format=concise"], PYTHON),
    Check("mypy", ["mypy"], lambda path: PYTHON(path) and not WARMFORK(path)),
    # A package of its own, with settings of its own.
    Check("mypy warmfork", ["mypy", "--config-file=warmfork/pyproject.toml"], WARMFORK),
    Check("yamllint", ["yamllint", "--strict"], named("*.yaml", "*.yml")),
    Check("hadolint", ["hadolint", "--no-color"], DOCKERFILES),
    Check("shellcheck", ["shellcheck", "--external-sources"], is_shell),
    Check("shfmt", ["shfmt", "--diff", "--indent=2", "--case-indent"], is_shell),
    Check("actionlint", ["actionlint"], named(".github/workflows/*")),
    Check(
        "zizmor",
        ["zizmor", "--offline", "--pedantic", "--quiet"],
        named(".github/workflows/*", ".github/dependabot.yml"),
    ),
    Check("Tiltfile", evaluate_tiltfile, anything),
    Check("compose file", read_compose_file, named("docker/compose.yaml")),
    Check("paths, registries, secrets", search_content, anything),
    Check("file sizes", measure_sizes, anything),
    Check("documented tree", compare_tree, anything),
    Check("commits since main", read_commits, anything),
)

if __name__ == "__main__":
    sys.exit(main())
