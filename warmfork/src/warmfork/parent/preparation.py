"""Makes processes ready for the next change: a copy of the template, and processes that stand by."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable

from warmfork.events import EventLoop
from warmfork.parent.application import Application
from warmfork.parent.available import has_room
from warmfork.parent.children import Children
from warmfork.parent.files import Files
from warmfork.parent.policy import Standby
from warmfork.parent.processes import Process, Role
from warmfork.settings import Settings
from warmfork.snapshot.graph import Graph
from warmfork.snapshot.import_plan import ImportPlan

# Seconds after a reload in which the processor belongs to the requests that waited for it.
_REST = 0.15
# Seconds without a further change after a swap, which leaves the processes that stand by of use.
_LEISURE = 1.0
# Seconds of a start that is worth the memory which processes share that begin after it.
_SHORT = 2.0
# Seconds of work that may be done before changes are looked for again.
_SLICE = 0.01
# Seconds in which a library must be imported here: so many more than so many times what all took that was imported
# when the application started. What it waits for, such as a lock, may be the application's for ever.
_LEAST_IMPORT, _TIMES_START = 3.0, 4.0
# Files edited last for which a process each stands by, where there is memory for it.
_MOST = 2


class Preparation:
    """Decides which processes are to be there when the next change comes, and has them made."""

    def __init__(  # noqa: PLR0913 - what it decides from
        self,
        settings: Settings,
        events: EventLoop,
        *,
        children: Children,
        application: Application,
        files: Files,
        take_over: Callable[[Iterable[str], float], None],
    ) -> None:
        """Nothing is ready, and no file was edited yet.

        take_over: imports libraries into this process, each in so many seconds.
        """
        self._settings = settings
        self._entry = settings.app.partition(":")[0]
        self._events = events
        self._children = children
        self._processes = children.processes
        self._application = application
        self._files = files
        self._take_over = take_over
        # Modules of the application that one file holds, or that have read it, the file edited last at the end.
        self._edited: deque[frozenset[str]] = deque(maxlen=_MOST)
        self._is_served = False
        # Packages that must be executed before anything in them or of them is imported.
        self._unfit: set[str] = set()

    def note_edited(self, files: frozenset[str]) -> None:
        """Take note of files that somebody edits, and may edit again."""
        modules = frozenset(
            self._application.record.modules_of({name for name in files if self._files.sources.find(name)})
        )
        if modules in self._edited:
            self._edited.remove(modules)
        if modules:
            self._edited.append(modules)

    def soon(self, *, was_swapped: bool = False, is_served: bool = True) -> None:
        """Make ready what the next change needs, as soon as nobody waits for the processor.

        was_swapped: the last one needed nothing of it; is_served: whether the present state of all files is served.
        """
        self._is_served = is_served
        self._events.call_later("copy", _REST, self._copy)
        self._events.call_later("stand by", _LEISURE if was_swapped else _REST, self._stand_by)

    def cancel(self) -> None:
        """Make nothing ready for the time being."""
        for key in ("copy", "stand by", "libraries"):
            self._events.cancel(key)

    @property
    def standbys(self) -> list[tuple[Process, Standby]]:
        """The processes that stand by, and what there is to know of each."""
        return [
            (process, Standby(self._reached(process), is_outdated=bool(process.record.outdated())))
            for process in self._processes.with_role(Role.STANDBY)
        ]

    def on_prepared(self, standby: Process, spoilt: list[str]) -> None:
        """Take note that a process stands by, in place of others that do so for the same.

        spoilt: modules that it should not have imported, and has in a way that no import statement shows.
        """
        if spoilt:
            standby.kill()
            self.note_useless(standby)
            return
        for other in self._processes.with_role(Role.STANDBY):
            if other is not standby and other.deferred == standby.deferred:
                other.kill()
        self._make_template()
        # The next one, if one is wanted, when this one has left some time to the requests.
        self._events.call_later("stand by", _LEISURE, self._stand_by)

    def note_useless(self, standby: Process) -> None:
        """Take note that a process has imported ahead what it could not, so that the next one leaves it."""
        # A state that is not served may fail for another reason.
        if standby.plan.bare and self._is_served:
            self._unfit |= standby.plan.bare.keys()
            self._events.call_later("stand by", _LEISURE, self._stand_by)

    def on_template_ready(self) -> None:
        """Take note that there is a template, which can be copied."""
        self._events.call_later("copy", _REST, self._copy)

    def _make_template(self) -> None:
        """Where there is none, have one made that executes once more what the serving process has executed."""
        if not self._is_served or self._processes.with_role(Role.TEMPLATE, Role.STARTING):
            return
        is_possible = self._settings.is_swapping and self._application.is_fit and not self._application.record.writing
        standby = next((one for one in self._processes.with_role(Role.STANDBY) if one.is_prepared), None)
        if is_possible and standby:
            self._children.make_template(standby, self._files.sources)

    def _import_libraries(self) -> None:
        """Import here what the application imported late, once no process is being made ready any more.

        Last, for nothing is noticed meanwhile; and an import that forks can be told from others that do.
        """
        processes = self._processes
        unready = [one for one in processes.with_role(Role.STANDBY) if not one.is_prepared]
        unready += [one for one in processes.with_role(Role.TEMPLATE, Role.COPY) if not one.pid]
        if processes.one(Role.STARTING):
            # This is asked for again once it serves.
            return
        if unready:
            self._events.call_later("libraries", _REST, self._import_libraries)
            return
        learned = self._application.take_learned()
        before = len(sys.modules)
        self._take_over(learned, _LEAST_IMPORT + _TIMES_START * self._application.started_in)
        if len(sys.modules) > before and self._application.started_in < _SHORT:
            # What was forked before shares none of it, and stays until this one is ready, which asks for the next.
            self._fork_standby(self._wanted())
            self._events.cancel("stand by")

    def _copy(self) -> None:
        if not self._processes.with_role(Role.STARTING, Role.COPY):
            self._children.copy(self._files.sources, is_served=self._is_served)

    def _stand_by(self) -> None:
        """Let processes stand by for the files edited last."""
        if self._processes.one(Role.STARTING):
            return
        if not self._has_read_statements():
            self._events.call_later("stand by", 0, self._stand_by)
            return
        wanted = self._wanted()
        self._end_standbys_but(wanted)
        self._fork_standby(wanted)
        self._make_template()
        self._events.call_later("libraries", _REST, self._import_libraries)

    def _has_read_statements(self) -> bool:
        """Read some of the texts from which the graph is made; return whether all are read."""
        deadline = time.monotonic() + _SLICE
        for file in self._application.record.files.values():
            if source := self._files.sources.find(file):
                _ = source.statements
            if time.monotonic() > deadline:
                return False
        return True

    def _end_standbys_but(self, wanted: dict[frozenset[str], ImportPlan]) -> None:
        """End those that are not wanted; what is there is wanted no longer."""
        for process in self._processes.with_role(Role.STANDBY):
            if process.deferred in wanted and self._is_of_use(process):
                del wanted[process.deferred]
            else:
                process.kill()

    def _fork_standby(self, wanted: dict[frozenset[str], ImportPlan]) -> None:
        """Fork the first for which there is something to import ahead: one at a time, for each takes a processor."""
        for plan in wanted.values():
            if plan.ahead:
                self._children.stand_by(plan, self._application.record)
                return

    def _wanted(self) -> dict[frozenset[str], ImportPlan]:
        """Return what each of the processes is to do, by what it defers, the one for the file edited last first."""
        if not self._settings.standby or self._application.exclusive:
            return {}
        record = self._application.record
        graph = Graph(record, self._files.sources)
        serving = self._processes.serving
        most = _MOST if serving and has_room(serving.pid) else 1
        edited = [*reversed(self._edited)][:most] or [frozenset(graph.outermost(self._entry))]
        # The entry in any case: it may read what it does not import, such as a digest of all files.
        always = {self._entry, *self._settings.fresh, *record.asking}
        plans = [graph.plan(always | modules, self._unfit) for modules in edited]
        return {plan.deferred: plan for plan in plans}

    def _is_of_use(self, process: Process) -> bool:
        """Tell whether a process has executed nothing that has changed since, unless that can be swapped."""
        changed = set(map(str, process.stale)) - process.swapped
        return changed.isdisjoint(self._reached(process))

    def _reached(self, process: Process) -> set[str]:
        return self._application.record.reached_without(process.deferred)
