"""kubectl for the checks: JSON in, readable failures out."""

import json
import subprocess
import sys
from typing import Any, NoReturn

CONTEXT = "kind-todo"


def kubectl(*arguments: str, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run kubectl against the loop's own cluster; the exit code is the caller's to judge. timeout: seconds."""
    command = ["kubectl", "--context", CONTEXT, *arguments]
    return subprocess.run(command, capture_output=True, input=stdin, text=True, timeout=timeout, check=False)


def get(namespace: str, kind: str, *selectors: str) -> list[dict[str, Any]]:
    """The objects of a kind. Ends the program when kubectl fails."""
    result = kubectl("--namespace", namespace, "get", kind, "--output", "json", *selectors)
    if result.returncode:
        fail(f"kubectl get {kind}: {result.stderr.strip()}")
    items: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return items


def fail(message: str) -> NoReturn:
    """End with the reason as the last line."""
    print(f"FAILED: {message}", file=sys.stderr)
    raise SystemExit(1)
