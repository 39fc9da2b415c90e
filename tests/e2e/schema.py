"""The API answers as its own description says, through nginx: no error of the server, no status that is not described.

usage: python -m tests.e2e.schema NAMESPACE, by the Python that has the requirements
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.kubectl import CONTEXT, fail

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
EXAMPLES = 50  # for each operation and way to make them up
RATE = "80/s"  # nginx lets 100 writes a second through


def main(namespace: str) -> None:
    # It keeps what it has found in the folder where it runs.
    with front_door(namespace) as address, TemporaryDirectory() as folder:
        run: list[str | Path] = [SCHEMATHESIS, "run", f"{address}/api/openapi.json", "--checks", ",".join(CHECKS)]
        # The same requests every time: what fails once fails again.
        options = ["--generation-deterministic", "--max-examples", str(EXAMPLES), "--rate-limit", RATE, "--no-color"]
        result = subprocess.run([*run, *options], cwd=folder, capture_output=True, text=True, check=False)
    print(result.stdout)
    if result.returncode:
        fail("; ".join(problems(result.stdout)) or f"schemathesis: {result.stderr.strip() or result.returncode}")


def problems(report: str) -> list[str]:
    """Return what the report says was wrong, each with the operation."""
    operation, found = "", []
    for line in report.splitlines():
        if heading := re.fullmatch(r"_+ ((?:[A-Z]+) /\S*) _+", line):
            operation = heading[1]
        elif problem := re.fullmatch(r"- ST\d+ (.*)", line):
            found.append(f"{operation}: {problem[1]}")
    return list(dict.fromkeys(found))


@contextmanager
def front_door(namespace: str) -> Iterator[str]:
    """Yield where a frontend pod is reached from this machine alone."""
    forward = ["port-forward", "service/frontend", ":8080", "--address=127.0.0.1"]
    command = ["kubectl", "--context", CONTEXT, "--namespace", namespace, *forward]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            if not found:
                fail(f"kubectl port-forward: {process.stderr.read().strip()}")
            yield f"http://{found[0]}"
        finally:
            process.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
