"""Where things are kept. Caches can be deleted at any time; state cannot."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def _xdg(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "todo-devenv"


# Rebuilt or downloaded again when missing: tools, base images, Go caches.
CACHE = _xdg("XDG_CACHE_HOME", ".cache")
# Not replaceable: the passwords of the existing volumes, the engine's data with these volumes.
STATE = _xdg("XDG_STATE_HOME", ".local/state")

BIN = CACHE / "bin"
LOGS = STATE / "logs"
ENGINE_DATA = STATE / "engine"
VENV = CHECKOUT / ".venv"
# Read by the Tiltfile: which base images to use instead of the committed ones.
STAND_INS = CHECKOUT / ".devenv" / "stand-ins.json"
# Diagnostics of the last `make ci`.
CI_REPORT = CHECKOUT / ".devenv" / "ci-report"


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace the file in one step; untouched when equal, so that no watcher wakes."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = path.with_name(path.name + ".part")
    parts.touch(mode=mode)
    parts.write_text(text)
    parts.rename(path)
