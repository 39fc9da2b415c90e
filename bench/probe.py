"""Runs inside a pod: asks the server there over one kept connection, and tells when it first showed certain code.

Standard library only, for it is handed to the pod's own Python as it is. Each line on standard input is a JSON object
{"code": "9f86d081884c", "seconds": 20}. The answer is a line {"served": 1234.5, "asked": 12, "lost": 0}: when the first
answer with that code was complete, by the monotonic clock, or null if none came in time; how many requests there were;
how many of them were lost with their connection. The first line of all tells the clock: {"clock": 1234.5}.
"""

import http.client
import json
import sys
import time

# From an answer to the next request: a share of the time that was waited so far, and so many seconds at least. Longer
# ones would make what is told less exact, shorter ones take the processor that the reload needs.
PAUSE, LEAST_PAUSE = 0.05, 0.02
# Seconds that one request may take.
PATIENCE = 10


def watch(connection: http.client.HTTPConnection, code: str, seconds: float) -> dict[str, float | int | None]:
    """Ask until the code is shown, for at most so long."""
    began = time.monotonic()
    deadline = began + seconds
    asked = lost = 0
    while time.monotonic() < deadline:
        asked += 1
        try:
            connection.request("GET", "/version")
            shown = json.loads(connection.getresponse().read())["code"]
        except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError):
            lost += 1
            connection.close()
        else:
            if shown == code:
                return {"served": time.monotonic(), "asked": asked, "lost": lost}
        time.sleep(max(LEAST_PAUSE, PAUSE * (time.monotonic() - began)))
    return {"served": None, "asked": asked, "lost": lost}


def main() -> None:
    """Follow orders until standard input ends; the argument is the server's port."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=PATIENCE)
    print(json.dumps({"clock": time.monotonic()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(watch(connection, **json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
