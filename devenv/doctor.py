"""What is there, what is missing, and what to type about it."""

import platform
import shutil
import sys

from devenv import apt, cluster, engine, paths, python, tools, versions
from devenv.process import succeeds
from devenv.progress import say
from devenv.source import source


def examine() -> int:
    """Print one line a thing; the exit code is 1 when something that the loop needs is missing."""
    distribution = " ".join(apt.release()) or platform.platform()
    say(f"machine      {distribution}, {platform.machine()}, Python {platform.python_version()} at {sys.executable}")
    say(f"source       {source()}")
    for folder in (paths.CACHE, paths.STATE):
        folder.mkdir(parents=True, exist_ok=True)
        say(f"{folder.name:12} {folder}: {shutil.disk_usage(folder).free / 2**30:.0f} GiB free on its disk")
    findings = [
        _line(
            "engine", engine.is_running(), "Docker answers", "no container engine answers: make up brings or names one"
        ),
        *(_tool(tool) for tool in tools.ALL),
        _line("cluster", cluster.is_ready(), f"{cluster.CONTEXT} answers", "no cluster answers: make up starts it"),
        _line(
            "python 3.12",
            succeeds([python.venv_python(), "--version"]),
            str(paths.VENV),
            "no .venv: make test makes it",
        ),
    ]
    return 0 if all(findings) else 1


def _tool(tool: tools.Tool) -> bool:
    version, pin = tool.version(), versions.release(tool.name).version
    return _line(tool.name, tool.is_on_path(), version, f"{version or 'missing'}, {pin} is needed: make up brings it")


def _line(name: str, well: bool, good: str, bad: str) -> bool:
    say(f"{name:12} {'ok' if well else '--'}  {good if well else bad}")
    return well
