"""The steps of a forked process, from the fork to its end."""

import asyncio
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from warmfork.activation import Activation
from warmfork.audit import listen
from warmfork.channel import Channel, Message, close_all
from warmfork.child.ending import end_at_once, end_orderly
from warmfork.child.exclusive import Exclusive
from warmfork.child.executed import Executed
from warmfork.child.fitness import Holdings, obstacle
from warmfork.child.import_loop import ImportLoop
from warmfork.child.muted import muted
from warmfork.child.prefault import prefault
from warmfork.child.seeds import Seeds
from warmfork.child.start_reads import StartReads
from warmfork.child.swap import RefusalError
from warmfork.child.template import Template, fork_orphan, swap_executed
from warmfork.child.title import Title, set_title
from warmfork.failure import Failure
from warmfork.memory import read_all
from warmfork.parent.processes import reap
from warmfork.server.configuration import configure, load, loop_factory
from warmfork.server.logs import RoutineFilter
from warmfork.server.server import Server, StartupError
from warmfork.server.status import Status
from warmfork.settings import Settings
from warmfork.snapshot.import_plan import ImportPlan
from warmfork.snapshot.loader import Importer, module_spec
from warmfork.snapshot.reads import Reads
from warmfork.snapshot.record import Record
from warmfork.snapshot.territory import Territory
from warmfork.snapshot.variables import Variables

T = TypeVar("T")


@dataclass
class Child:
    """What a forked process starts with."""

    settings: Settings
    channel: Channel
    listener: socket.socket
    activation: Activation
    importer: Importer
    territory: Territory
    status: Status
    seeds: Seeds
    # What to import ahead of a change. A process that defers nothing starts at once.
    plan: ImportPlan = field(default_factory=ImportPlan)
    # What the process before has executed and read.
    before: Record = field(default_factory=Record)
    # The process that serves meanwhile; 0 if there is none.
    sibling: int = 0
    # Serve this instead of the application.
    failure: Failure | None = None
    # A process that ends at once, and is reaped when the application has started.
    _intermediate: int = 0
    # Whether it leaves a template behind, or is to become one itself.
    _leaves_template: bool = True
    _is_template: bool = False
    # Whether a fork is the application's doing.
    _is_application: bool = True

    def run(self) -> NoReturn:
        """Do everything, then end the process."""
        code = 1
        try:
            self._import_and_serve()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            self._report(Failure.of(end))
        except StartupError as error:
            self._report(error.failure, at_startup=True)
        except _StaleError as error:
            self._say_stale(error.files)
        except BaseException as error:  # noqa: BLE001 - whatever an application does when imported
            self._report(Failure.of(error))
        end_at_once(code)

    @property
    def _entry(self) -> str:
        return self.settings.app.partition(":")[0]

    def _report(self, failure: Failure, *, at_startup: bool = False) -> None:
        if stale := self.importer.ahead.misplaced:
            # The traceback would lack modules on the way, or the failure be none.
            self._say_stale(stale)
            return
        self.channel.send("failed", failure=failure.as_json(), at_startup=at_startup)

    def _say_stale(self, files: Iterable[str]) -> None:
        self.channel.send("stale", files=sorted(files), is_misplaced=self.importer.ahead.is_misplaced)

    def _import_and_serve(self) -> NoReturn:
        set_title(Title.STARTING)
        # Not disable(), so that it is the application's when it is disabled in the end.
        threshold = gc.get_threshold()
        gc.set_threshold(0)
        gc.enable()
        os.register_at_fork(after_in_child=self._leave_to_server)
        listen(("builtins.input", "builtins.input/result"), self._on_prompt)
        libraries, exclusive = set(sys.modules), Exclusive()
        settings, importer = self.settings, self.importer
        importer.admit()
        # A factory is called when its module has been executed.
        is_installed = self.territory.is_installed
        noting = (importer.record, is_installed, lambda: importer.importing or self._entry)
        reads, variables = Reads(*noting), Variables(*noting)
        executed = Executed() if settings.is_swapping and not self.failure else None
        importer.executed = executed
        config = configure(settings.app, settings.uvicorn, settings.graceful_timeout, self.failure)
        with RoutineFilter() as log:
            try:
                loop = ImportLoop(loop_factory(config))
                if self.plan.deferred:
                    self._import_ahead(loop, reads, executed)
                    variables.end_ahead()
                self.activation.announce()
                with muted(is_active=self._is_template):
                    loop.run(lambda: load(config, self.failure))
            except SystemExit as end:
                raise StartupError(log.failure or Failure.of(end)) from end
            loop.close_unless_held()
            reads.stop(
                on_write=lambda path: self.channel.send("writes", path=path),
                on_read=lambda path: self.channel.send("reads", path=path),
                is_wanted=importer.sources.has_data,
            )
            variables.stop()
            self._check(variables)
            found, programs = exclusive.found(), exclusive.processes()
            change = self._split(config.loaded_app, executed, loop.held_before, found) if executed else {}
            # What exists by now stays, as in a template.
            gc.freeze()
            start_reads = StartReads(importer.sources)

            def describe() -> dict[str, Any]:
                told = {**change, "torn": start_reads.stop(), "read": start_reads.read}
                if "swapped" in change:
                    return told
                if self._intermediate:
                    reap(self._intermediate)
                held = "" if found else ", ".join(exclusive.held())
                told |= {"record": importer.record.as_json(), "exclusive": found, "held": held}
                return told | {"learned": self._learned(libraries), "bound": sorted(variables.libraries)}

            self.seeds.stop()
            self.status.code = importer.sources.digest
            config.loaded_app = self.status.answering(settings.status_path, config.loaded_app)
            server = Server(
                config,
                channel=self.channel,
                listener=self.listener,
                status=self.status,
                log=log,
                describe=describe,
            )
            if not gc.get_threshold()[0]:
                gc.set_threshold(*threshold)
            with asyncio.Runner(loop_factory=loop.get) as runner:
                runner.run(server.serve(), context=loop.context)
                # Within the loop's life, whose own end would wait for what the application has left running.
                end_orderly(programs)

    def _split(self, application: object, executed: Executed, before: Holdings, exclusive: str) -> dict[str, Any]:
        """Leave a template behind, or become one, if this can be forked; in a copy, tell which change it serves."""
        executed.stop()
        unfit = self._obstacle(executed, before) or exclusive
        if unfit and self._is_template:
            end_at_once(0)
        if unfit or not (self._is_template or self._leaves_template):
            return {"unfit": "" if exclusive else unfit}
        template = Template(application, self.importer, executed, self.seeds, fork=self._fork)
        if self._is_template:
            template.become(self.channel)
        elif pid := template.leave(self.channel):
            self._intermediate = pid
            return {}
        self.seeds.renew()
        self.activation.announce()
        self.status.generation = template.generation
        if stale := self.importer.outdated():
            raise _StaleError(stale)
        return {"swapped": template.files}

    def _obstacle(self, executed: Executed, before: Holdings) -> str:
        """Return in words why no fork of this process could serve; empty when one can."""
        if asking := sorted(self.importer.record.asking):
            return f"asks other programs (in {asking[0]})"
        if found := self._without_leaving(lambda: obstacle(before)):
            return f"opens {found}"
        return "" if executed.is_known else "is watched by another tool"

    def _fork(self) -> int:
        return self._without_leaving(os.fork)

    def _without_leaving(self, fork: Callable[[], T]) -> T:
        """Fork in a way that keeps what belongs to the server."""
        self._is_application = False
        try:
            return fork()
        finally:
            self._is_application = True

    def _import_ahead(self, loop: ImportLoop, reads: Reads, executed: Executed | None) -> None:
        """Import what the next change will not touch, and wait for that."""
        self.importer.ahead.begin(self.plan)

        def import_all() -> None:
            for name in self.plan.ahead:
                importlib.import_module(name)

        loop.run(import_all)
        loop.close_unless_held()
        with reads.paused():
            self._take_over_change(loop, executed)
        self.importer.ahead.end()

    def _take_over_change(self, loop: ImportLoop, executed: Executed | None) -> None:
        """Wait for the change, and see to it that nothing that was imported is older."""
        importer = self.importer
        record = importer.record
        spoilt = (self.plan.deferred & record.files.keys()) | importer.ahead.missed
        self.channel.send("prepared", spoilt=sorted(spoilt), record=record.as_json())
        message = self._await_change(loop)
        set_title(Title.STARTING)
        importer.sources.unpack(read_all(message.descriptors[0]))
        self.status.generation = message.fields["generation"]
        if stale := record.touches(message.fields["files"]):
            # Those that were swapped elsewhere meanwhile can be here as well.
            try:
                if not executed or not stale.isdisjoint(record.signatures):
                    raise _StaleError(stale)
                executed.find_functions()
                swap_executed(importer, executed, stale)
            except RefusalError as refusal:
                raise _StaleError(stale) from refusal

    def _await_change(self, loop: ImportLoop) -> Message:
        """Wait for the change; return also in each fork that is to become a template, with the changes until now."""
        opened = loop.opened
        while True:
            if self.sibling:
                prefault(self.sibling)
            set_title(Title.STANDBY)
            message = self.channel.receive(wait=True)
            if message is None:
                end_at_once(0)
            if message.event != "template":
                self._leaves_template = message.fields["leaves_template"]
                return message
            channel, packed = message.descriptors
            if loop.is_open:
                close_all(message.descriptors)
            elif pid := fork_orphan(self._fork, self.channel, Channel(socket.socket(fileno=channel))):
                os.close(packed)
                reap(pid)
            else:
                loop.inherit(opened)
                self._is_template = True
                self.seeds.renew()
                return Message(message.event, message.fields, [packed])

    def _check(self, variables: Variables) -> None:
        """As the last line of defence: a process that was prepared must not serve what is old, whatever the reason."""
        if not self.plan.deferred:
            return
        early = variables.read_too_early(self.before)
        stale = {file for name, file in self.importer.record.files.items() if name in early}
        if stale := stale | self.importer.outdated() | self.importer.unneeded(self._entry, self.before):
            raise _StaleError(stale)
        # What was imported ahead was not asked for by a module.
        self.importer.record.note_first_imports(self.before, self.plan.ahead)

    def _learned(self, libraries: set[str]) -> list[str]:
        """Return libraries that only the application's import or start has imported; the parent can take them over."""
        new = [name for name in list(sys.modules) if name not in libraries]
        return [name for name in new if (spec := module_spec(name)) and not self.territory.holds(spec)]

    def _leave_to_server(self) -> None:
        """In what the application forks: let go of what belongs to the server, and end when told to.

        The address would stay taken otherwise, the end of the server be missed, and a signal reach its event loop.
        """
        if not self._is_application:
            return
        self.listener.close()
        self.channel.close()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    def _on_prompt(self, event: str, _: tuple[Any, ...]) -> None:
        """Tell the parent when a person is asked something, as by pdb, and when that is over."""
        self.channel.send("prompting", active=event == "builtins.input")


class _StaleError(Exception):
    """What was executed or read is not what is on the disk now."""

    def __init__(self, files: set[str]) -> None:
        super().__init__(", ".join(sorted(files)))
        self.files = files
