"""How much memory is left, for processes that are of use and not needed."""

from contextlib import suppress
from pathlib import Path

from warmfork.parent.processes import pss

# What must be left, in sizes of the serving process: another one of it while a save is served, and the application's
# own growth.
_SIZES = 4
# Of the container, in both versions of control groups: the limit, and what is in use.
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def has_room(pid: int) -> bool:
    """Tell whether there is room for one more process such as this, whatever else happens."""
    return _available() > _SIZES * pss(pid)


def _available() -> int:
    """Return how many bytes may be taken, of the machine and of the container."""
    left = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")]
    for limit, used in _GROUPS:
        # "max" stands for no limit.
        with suppress(IndexError, ValueError):
            left.append(int(_lines(limit)[0]) - int(_lines(used)[0]))
    return min(left, default=0)


def _lines(path: str) -> list[str]:
    with suppress(OSError):
        return Path(path).read_text().splitlines()
    return []
