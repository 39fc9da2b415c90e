"""The database's passwords: made once a machine, kept outside every checkout, copied to where tools read them."""

import secrets
import subprocess
from pathlib import Path

from devenv import cluster, paths
from devenv.failure import Failure
from devenv.process import succeeds
from devenv.progress import say
from devenv.registry.images import POSTGRES, UBUNTU
from devenv.source import REGISTRY, source

# A second clone must find the passwords of the existing volume.
_KEPT = paths.STATE / "database.env"
_ROLES = ("postgres", "migrate", "app")
# What running backends try where the current one is refused.
_NEXT = "app_password_next"
_NAMES = (*(f"{role}_password" for role in _ROLES), _NEXT)
# Gets the passwords as lines, for none may stand on a command line.
_TELL = (
    "umask 077 && cd $(mktemp -d) && trap 'rm -r $PWD' EXIT"
    f' && for role in {" ".join(_ROLES)}; do read -r password && printf %s "$password" >${{role}}_password; done'
    " && /bin/sh /roles/roles.sh $PWD"
)
# kustomize refuses files outside its folders.
_FOR_KUSTOMIZE = paths.CHECKOUT / "k8s" / "components" / "generated-secret" / "database.env"
_FOR_COMPOSE = paths.CHECKOUT / "docker" / ".env"


def are_known() -> bool:
    """Tell whether the passwords of the cluster's database are kept here, or there is no cluster yet."""
    return _KEPT.is_file() or not cluster.exists()


def require_known() -> None:
    """Raise Failure when the cluster's database has passwords that are not kept here."""
    if not are_known():
        raise Failure(
            f"the cluster {cluster.CONTEXT}",
            f"another user of this machine has made it, or its passwords were lost: there is no {_KEPT}",
            "leave it to that user, and work without containers: make dev; make clean deletes it with its database",
        )


def write() -> None:
    """Make the passwords that there are not yet, and put them where kustomize reads them."""
    kept = _read()
    if missing := [name for name in _NAMES if name not in kept]:
        _keep(kept | {name: secrets.token_urlsafe(24) for name in missing})
    _write(_FOR_KUSTOMIZE, _KEPT.read_text())


def rotate() -> None:
    """Make new passwords. A running database learns them first, and backends of before know theirs already.

    Raises Failure, and changes nothing, when it does not take them.
    """
    write()
    fresh = {name: secrets.token_urlsafe(24) for name in _NAMES}
    passwords = fresh | {"app_password": _read()[_NEXT]}
    database = ["kubectl", "--context", cluster.CONTEXT, "--namespace", "todo"]
    if succeeds([*database, "get", "pod", "postgres-0"], timeout=10):
        lines = "".join(f"{passwords[f'{role}_password']}\n" for role in _ROLES)
        command = [*database, "exec", "--stdin", "postgres-0", "--", "sh", "-c", _TELL]
        result = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
        if result.returncode:
            raise Failure("new passwords", result.stderr.strip() or "no output", "make up, then make rotate again")
    _keep(passwords)
    write()
    say("New passwords: a running loop rolls them out, another one has them at its next start.")


def write_for_compose() -> None:
    """The same passwords as docker/.env, with the stand-in images where registry-only mode is in force."""
    write()
    lines = [
        f"{name.upper()}={value}" for name, _, value in (line.partition("=") for line in _KEPT.read_text().splitlines())
    ]
    if source() == REGISTRY:
        lines += [f"UBUNTU={UBUNTU.tag}", f"POSTGRES={POSTGRES.tag}"]
    _write(_FOR_COMPOSE, "\n".join(lines) + "\n")


def forget() -> None:
    """Delete them; only right when the volumes that they open are gone."""
    for file in (_KEPT, _FOR_KUSTOMIZE, _FOR_COMPOSE):
        file.unlink(missing_ok=True)


def _read() -> dict[str, str]:
    lines = _KEPT.read_text().splitlines() if _KEPT.is_file() else []
    return dict(line.split("=", 1) for line in lines)


def _keep(passwords: dict[str, str]) -> None:
    _write(_KEPT, "".join(f"{name}={passwords[name]}\n" for name in _NAMES))


def _write(path: Path, text: str) -> None:
    # Readable by its owner alone.
    paths.replace(path, text, mode=0o600)
