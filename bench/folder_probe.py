"""Runs inside a pod: tells when a folder there, and what the server answers, became what they should be.

Standard library only, for it is handed to the pod's own Python as it is. Arguments: the server's port, the path to ask
for, the folder. Each line on standard input is a JSON object {"files": "9f86d081884c", "answer": {}, "seconds": 20,
"watched": 1}. The answer is a line {"equal": 1.5, "served": 1.6, "differed": null, "reverted": null, "found": {}}: when
the folder first had that digest and when the server first gave that answer, by the monotonic clock, or null; when the
folder, and when the answer, was last seen to be otherwise after that, or null; and what is there if it is wrong. It
comes when both are right after so many watched seconds, or after so many seconds in any case. The first line of all
tells the clock: {"clock": 1.5}.
"""

import hashlib
import http.client
import json
import os
import sys
import time

# From one look to the next, in seconds; more of them would take the processor that the reload needs.
PAUSE, CALM_PAUSE = 0.02, 0.05
# Seconds that one request may take.
PATIENCE = 10


def folder_digest(folder: str) -> str:
    """Return 12 hexadecimal digits of the SHA-256 over names and contents of all files below, but hidden ones."""
    digest = hashlib.sha256()
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = os.path.join(path, name)  # noqa: PTH118 - quicker, and asked for all the time
            with open(file, "rb") as opened:  # noqa: PTH123
                content = opened.read()
            digest.update(f"{os.path.relpath(file, folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


class Replica:
    """The server and the folder of this pod."""

    def __init__(self, port: int, path: str, folder: str) -> None:
        """Prepare to ask for the path."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._path = path
        self._folder = folder

    def watch(self, *, files: str, answer: object, seconds: float, watched: float) -> dict[str, object]:
        """Look until all is right, for at most so long."""
        began = time.monotonic()
        equal: float | None = None
        served: float | None = None
        differed: float | None = None
        reverted: float | None = None
        while True:
            found_files, now = self._find_files(), time.monotonic()
            if found_files == files:
                equal = equal or now
            elif equal:
                differed = now
            is_late = now >= began + seconds
            # Not before: a server that reloads lets a request wait, and the folder would not be looked at meanwhile.
            found_answer = self._find_answer() if equal or is_late else None
            if found_answer == answer:
                served = served or time.monotonic()
            elif served:
                reverted = time.monotonic()
            is_right = found_files == files and found_answer == answer
            if is_late or (is_right and now >= began + watched):
                found = None if is_right else {"files": found_files, "answer": found_answer}
                times = {"equal": equal, "served": served, "differed": differed, "reverted": reverted}
                return {**times, "found": found}
            time.sleep(CALM_PAUSE if served else PAUSE)

    def _find_files(self) -> str | None:
        """Return the digest; None while somebody is at work there."""
        try:
            return folder_digest(self._folder)
        except OSError:
            return None

    def _find_answer(self) -> object:
        """Return the answer, or the error's name where there is none."""
        try:
            self._connection.request("GET", self._path)
            return json.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            return type(error).__name__


def main() -> None:
    """Follow orders until standard input ends."""
    port, path, folder = sys.argv[1:]
    replica = Replica(int(port), path, folder)
    print(json.dumps({"clock": time.monotonic()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(replica.watch(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
