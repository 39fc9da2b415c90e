"""Stands in for kubectl: `get` asks the test's API server, `exec` reaches a pod, which is a Unix socket.

A file called "cluster" beside this script names the folder with all these sockets.
"""

# ruff: noqa: PTH110, PTH118, PTH120, PTH123 - started several times in every test, without pathlib in half the time

import os
import socket
import sys


def main() -> None:
    """Do what the arguments say."""
    with open(os.path.join(os.path.dirname(sys.argv[0]), "cluster"), encoding="utf-8") as file:
        cluster = file.read()
    words = sys.argv[1:]
    if words[:2] == ["get", "--raw"]:
        get(os.path.join(cluster, "api"), words[2])
    elif words[:2] == ["exec", "--stdin"]:
        separator = words.index("--")
        options, command = words[2:separator], words[separator + 1 :]
        execute(os.path.join(cluster, options[-1]), command)
    else:
        sys.exit(f"unexpected arguments: {words}")


def get(api: str, path: str) -> None:
    """Print what the API answers, as it comes."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(api)
        except OSError:
            sys.exit("The connection to the server was refused - did you specify the right host or port?")
        connection.sendall(f"{path}\n".encode())
        while data := connection.recv(1 << 16):
            os.write(sys.stdout.fileno(), data)


def execute(pod: str, command: list[str]) -> None:
    """Run the command here, with the pod's own socket in place of the one that it names."""
    words = [sys.executable, *command[1:-1], pod]
    if not os.path.exists(f"{pod}.root"):
        os.execv(words[0], words)  # noqa: S606 - no shell is wanted
    # The pod is a real warmfork on this machine, in whose paths the folder named here stands for the pod's root.
    import contextlib  # noqa: PLC0415 - this and what follows is rarely needed
    import subprocess  # noqa: PLC0415
    import threading  # noqa: PLC0415
    from typing import IO  # noqa: PLC0415

    with open(f"{pod}.root", encoding="utf-8") as file:
        root = file.read()
    here, there = f'"{root}/app/'.encode(), b'"/app/'

    def translate(source: IO[bytes], target: IO[bytes], before: bytes, after: bytes) -> None:
        """Pass lines on, with other paths."""
        # Either side may end at any time.
        with target, contextlib.suppress(BrokenPipeError):
            for line in source:
                target.write(line.replace(before, after))
                target.flush()

    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin
        assert program.stdout
        requests = (sys.stdin.buffer, program.stdin, there, here)
        threading.Thread(target=translate, args=requests, daemon=True).start()
        translate(program.stdout, sys.stdout.buffer, here, there)
        # With the program, whether or not more is to be read, as kubectl does.
        os._exit(program.wait())


if __name__ == "__main__":
    main()
