"""A Python with what only measurements need: large libraries, and reloaders that are compared in a few places."""

import hashlib
import site
import subprocess
import sys
from pathlib import Path

from bench.command import UNPUBLISHED

_LOCK = Path(__file__).parent / "requirements.txt"


def python() -> Path:
    """Return the interpreter, which has its own packages first and then those of this one; make it if need be."""
    folder = UNPUBLISHED / "environment"
    marker, interpreter = folder / "requirements.sha256", folder / "bin" / "python"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text() == digest:
        return interpreter
    print("installing what only measurements need; a minute or two")
    _uv("venv", "--clear", "--python", sys.executable, folder)
    _uv("pip", "install", "--compile-bytecode", "--require-hashes", "--python", interpreter, "--requirement", _LOCK)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "and_those_of_the_checkout.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    marker.write_text(digest)
    return interpreter


def _uv(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *arguments], check=True)
