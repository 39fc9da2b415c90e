"""Stands in for kubectl: `get` asks the test's API server, `exec` reaches a pod, which is a Unix socket.

A file called "cluster" beside this script names the folder with all these sockets.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Do what the arguments say."""
    cluster = Path(Path(sys.argv[0]).with_name("cluster").read_text())
    words = sys.argv[1:]
    if words[:2] == ["get", "--raw"]:
        get(cluster / "api", words[2])
    elif words[:2] == ["exec", "--stdin"]:
        separator = words.index("--")
        options, command = words[2:separator], words[separator + 1 :]
        execute(cluster / options[-1], command)
    else:
        sys.exit(f"unexpected arguments: {words}")


def get(api: Path, path: str) -> None:
    """Print what the API answers, as it comes."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(api))
        except OSError:
            sys.exit("The connection to the server was refused - did you specify the right host or port?")
        connection.sendall(f"{path}\n".encode())
        while data := connection.recv(1 << 16):
            os.write(sys.stdout.fileno(), data)


def execute(pod: Path, command: list[str]) -> None:
    """Run the command here, with the pod's own socket in place of the one that it names."""
    words = [sys.executable, *command[1:-1], str(pod)]
    root = pod.with_suffix(".root")
    if not root.exists():
        os.execv(words[0], words)  # noqa: S606 - no shell is wanted
    # The pod is a real warmfork on this machine, in whose paths the folder named here stands for the pod's root.
    with subprocess.Popen(words, stdin=subprocess.PIPE, bufsize=0) as program:
        assert program.stdin
        for line in sys.stdin.buffer:
            program.stdin.write(line.replace(b'"path": "/', f'"path": "{root.read_text()}/'.encode()))


if __name__ == "__main__":
    main()
