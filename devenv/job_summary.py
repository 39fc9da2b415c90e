"""What GitHub shows on the page of a run, where nobody has to open a log."""

import os
from collections.abc import Iterable
from pathlib import Path


def add(title: str, lines: Iterable[str]) -> None:
    """Add lines as they are, under a title; outside GitHub's workflows nothing."""
    if not (file := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    with Path(file).open("a") as summary:
        # Longer than a run of backticks that the lines may have.
        summary.write("\n".join([f"### {title}", "``````text", *lines, "``````", ""]))
