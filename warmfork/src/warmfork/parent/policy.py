"""What a change of files asks for: one function, which knows nothing of processes and files."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """How a change is brought to the requests."""

    # It makes no difference.
    IGNORE = "ignore"
    # The new code is known not to compile: no process need try.
    FAIL = "fail"
    # By a copy of the template, in which functions are changed.
    SWAP = "swap"
    # By the process that stands by.
    STANDBY = "standby"
    # By a new process, which imports all of the application.
    IMPORT = "import"
    # By a new process, once the one that serves has ended.
    ONE_AT_A_TIME = "one at a time"
    # By a new parent.
    RESTART = "restart"


@dataclass(frozen=True)
class Change:
    """What has happened. Paths are as the snapshot has them.

    files: that have other content than before, came or went; environment: the name of the file of --env-file if it is
    among them; libraries: modules that the parent holds and whose files are among them; packages: names of libraries
    that were installed or removed.
    """

    files: frozenset[str] = frozenset()
    environment: str = ""
    libraries: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standby:
    """A process that stands by.

    reached: files that it has executed or read, or will have when it is ready; is_outdated: a file whose size or time
    it has asked for is another by now.
    """

    reached: AbstractSet[str]
    is_outdated: bool = False


@dataclass(frozen=True)
class Known:
    """What is known of the application and its processes.

    broken: files that do not compile; executed: files that the application last executed; unserved: files
    that have changed since what serves was saved, this change's among them; has_template: whether there is a process
    that may be copied; refusal: why a copy of it could not take over the change; missed: files that hold a module that
    was looked for, and was not there or not the one that was taken; unread: of the unserved, files that somebody reads
    of whom nothing is known, as a library does that is not written in Python; is_single: the application must not run
    twice at a time.
    """

    broken: frozenset[str] = frozenset()
    executed: AbstractSet[str] = frozenset()
    unserved: frozenset[str] = frozenset()
    has_template: bool = False
    refusal: str = ""
    standbys: Sequence[Standby] = ()
    missed: AbstractSet[str] = frozenset()
    unread: frozenset[str] = frozenset()
    is_single: bool = False


@dataclass(frozen=True)
class Decision:
    """A way, and why in a few words. standby: which of those that stand by is to take over the change."""

    way: Way
    reason: str = ""
    standby: Standby | None = None


def decide(change: Change, known: Known) -> Decision:
    """Return what to do about the change."""
    if change.packages:
        return Decision(Way.RESTART, f"installed packages have changed: {', '.join(change.packages)}")
    if change.environment:
        return Decision(Way.RESTART, f"the environment file {change.environment} has changed")
    if change.libraries:
        names = ", ".join(change.libraries)
        return Decision(Way.RESTART, f"{names} has changed, which was imported before this server began")
    if not change.files:
        return Decision(Way.IGNORE, "nothing has changed")
    if len(known.unserved) == 1 and known.unserved <= known.broken & known.executed:
        # Of several files another may be the one that fails first.
        return Decision(Way.FAIL, "it does not compile")
    return _process(change.files | known.unserved, known)


def _process(files: frozenset[str], known: Known) -> Decision:
    """Return which process is to serve."""
    if known.is_single:
        return Decision(Way.ONE_AT_A_TIME, "the application must not run twice")
    if known.has_template and not known.refusal and not known.unread:
        return Decision(Way.SWAP)
    if known.unread or not known.standbys:
        reason = "nothing was seen to read it" if known.unread else "no process stands by"
        return Decision(Way.IMPORT, known.refusal or reason)
    unconcerned = [standby for standby in known.standbys if standby.reached.isdisjoint(files)]
    if not unconcerned:
        return Decision(Way.IMPORT, known.refusal or "the process that stands by has executed or read it")
    usable = [standby for standby in unconcerned if not standby.is_outdated]
    if not usable or known.missed & files:
        return Decision(Way.IMPORT, known.refusal or "the process that stands by has looked for it")
    return Decision(Way.STANDBY, known.refusal, max(usable, key=lambda standby: len(standby.reached)))
