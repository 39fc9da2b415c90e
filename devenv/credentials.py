"""The database's passwords: made once a machine, kept outside every checkout, copied to where tools read them."""

import secrets
from pathlib import Path

from devenv import paths
from devenv.registry.images import POSTGRES, UBUNTU
from devenv.source import REGISTRY, source

# A second clone must find the passwords of the existing volume.
_KEPT = paths.STATE / "database.env"
_ROLES = ("postgres", "migrate", "app")
# kustomize refuses files outside its folders.
_FOR_KUSTOMIZE = paths.CHECKOUT / "k8s" / "components" / "generated-secret" / "database.env"
_FOR_COMPOSE = paths.CHECKOUT / "docker" / ".env"


def write(*, rotate: bool = False) -> None:
    """Make the passwords where there are none, or anew, and put them where kustomize reads them."""
    if rotate or not _KEPT.is_file():
        _write(_KEPT, "".join(f"{role}_password={secrets.token_urlsafe(24)}\n" for role in _ROLES))
    _write(_FOR_KUSTOMIZE, _KEPT.read_text())


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


def _write(path: Path, text: str) -> None:
    # Readable by its owner alone.
    paths.replace(path, text, mode=0o600)
