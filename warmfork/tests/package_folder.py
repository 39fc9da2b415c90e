"""Packages that are not installed here, in folders that a server can be given ahead of those that are."""

import subprocess
import sys
from pathlib import Path


def install(requirements: Path, folder: Path, *options: str) -> Path:
    """Install what the file of requirements says, each with its hashes, into the folder; return the folder."""
    # Copies, for a test may write in them.
    how = ("--quiet", "--require-hashes", "--link-mode", "copy")
    command = [sys.executable, "-m", "uv", "pip", "install", *how, *options]
    subprocess.run([*command, "--target", folder, "--requirement", requirements], check=True)
    return folder
