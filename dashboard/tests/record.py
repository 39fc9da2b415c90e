"""Record what a running Tilt says, for test_recording.py: python -m dashboard.tests.record FILE, Ctrl-C to end.

Run it in the checkout while `make up` runs, and save, break and mend a file meanwhile.
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from dashboard.model import KINDS
from dashboard.tilt import AwayError, Tilt

# What no test looks at, and most of the size.
_LEFT_OUT = {
    *("managedFields", "uid", "creationTimestamp", "uiResources", "uiButtons", "clusters", "featureFlags", "anchor"),
    *("volumes", "image", "id", "ancestorUID", "podTemplateSpecHash", "specs", "iconSVG"),
}
_WITHOUT_SPEC = {"kubernetesdiscoveries", "filewatches", "uiresources"}


def main() -> None:
    """Write lines of JSON: when it came, which kind, which event, what."""
    with Path(sys.argv[1]).open("w") as file, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_record(file))


async def _record(file: TextIO) -> None:
    tilt = Tilt(10350)

    written: dict[object, str] = {}

    def write(kind: str, event: str, one: Any) -> None:  # noqa: ANN401
        kept = _without(one, {*_LEFT_OUT, "spec"} if kind in _WITHOUT_SPEC else _LEFT_OUT)
        name = (kind, (one.get("metadata") or {}).get("name"))
        if event in {"ADDED", "MODIFIED"} and written.get(name) == repr(kept.get("status")):
            return
        written[name] = repr(kept.get("status"))
        text = json.dumps([round(time.time() * 1000), kind, event, kept], separators=(",", ":"))
        # Where the checkout is, is nobody's business.
        file.write(text.replace(str(Path.cwd()), "/checkout").replace(str(Path.home()), "/home") + "\n")

    async def objects(kind: str) -> None:
        with contextlib.suppress(AwayError):
            async for event, one in tilt.objects(kind):
                write(kind, event, one)

    async def views() -> None:
        with contextlib.suppress(AwayError):
            async for view in tilt.views():
                write("views", "", view)

    await asyncio.gather(views(), *map(objects, KINDS))


def _without(one: Any, names: set[str]) -> Any:  # noqa: ANN401
    if isinstance(one, dict):
        return {name: _without(value, names) for name, value in one.items() if name not in names}
    if isinstance(one, list):
        kept = [_without(value, names) for value in one]
        # Tilt tells of pods in any order.
        return (
            sorted(kept, key=lambda pod: pod["name"])
            if kept and isinstance(kept[0], dict) and "phase" in kept[0]
            else kept
        )
    return one


if __name__ == "__main__":
    main()
