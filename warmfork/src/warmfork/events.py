"""The parent's event loop: descriptors that can be read, timers and signals, in one thread."""

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection

Action = Callable[[], None]


class EventLoop:
    """Calls what was asked for, when its time comes; nothing runs in between."""

    def __init__(self) -> None:
        """Nothing is waited for yet."""
        self._selector = selectors.DefaultSelector()
        self._timers: dict[object, tuple[float, Action]] = {}
        self._wakeup: tuple[socket.socket, socket.socket] | None = None
        # Which signals are handled, and the numbers of those that have come and wait for their turn.
        self._handled: Collection[signal.Signals] = ()
        self._signals = bytearray()

    def run(self, is_over: Callable[[], bool]) -> None:
        """Wait and call, until it is over."""
        while not is_over():
            for key, _ in self._selector.select(self._timeout()):
                # An earlier one may have ended this one.
                if key.fd in self._selector.get_map():
                    key.data()
            self._run_timers()

    def watch(self, descriptor: int, ready: Action) -> None:
        """Call whenever the descriptor can be read. A forked process closes every descriptor that is watched."""
        self._selector.register(descriptor, selectors.EVENT_READ, ready)

    def unwatch(self, descriptor: int) -> None:
        """Stop doing so."""
        self._selector.unregister(descriptor)

    def call_later(self, key: object, seconds: float, action: Action) -> None:
        """Call once in so many seconds; under the same key only the last request counts."""
        self._timers[key] = (time.monotonic() + seconds, action)

    def cancel(self, key: object) -> None:
        """Forget a request, if there is one."""
        self._timers.pop(key, None)

    def cancel_all(self) -> None:
        """Forget all requests."""
        self._timers.clear()

    def handle_signals(self, numbers: Collection[signal.Signals], handle: Callable[[signal.Signals], None]) -> None:
        """Call for each of these signals, at a moment when nothing else runs.

        From now on they come, if a program before this one has kept them for it.
        """
        reading, writing = self._wakeup = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        self.keep_signals()
        for number in numbers:
            signal.signal(number, lambda *_: None)

        def act() -> None:
            self._signals += reading.recv(4096)
            while self._signals:
                handle(signal.Signals(self._signals.pop(0)))

        self.watch(reading.fileno(), act)
        self._handled = numbers
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def leave_signals(self) -> None:
        """Keep signals that have not had their turn, and those to come, for the program that takes this one's place."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        if self._wakeup:
            with contextlib.suppress(BlockingIOError):
                self._signals += self._wakeup[0].recv(4096)
        # Others are told as well, such as that an import took too long.
        for number in {*self._signals}.intersection(self._handled):
            # This thread is the one that goes on; a library may have others, which take a signal for the process.
            signal.pthread_kill(threading.get_ident(), number)

    def keep_signals(self) -> None:
        """Be told of signals again, whatever an import has done."""
        if self._wakeup:
            signal.set_wakeup_fd(self._wakeup[1].fileno())

    def close(self) -> None:
        """Give up what handle_signals() has opened."""
        signal.set_wakeup_fd(-1)
        for end in self._wakeup or ():
            end.close()
        self._selector.close()

    def leave_to_parent(self) -> None:
        """In a forked process: let go of all that is the parent's."""
        signal.set_wakeup_fd(-1)
        descriptors = [key.fd for key in self._selector.get_map().values()]
        # Closed without unregistering, which would reach the parent's selector through the shared descriptor.
        self._selector.close()
        for descriptor in descriptors:
            os.close(descriptor)
        if self._wakeup:
            # The other end was among them.
            self._wakeup[1].close()

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(due for due, _ in self._timers.values()) - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        for key, (due, action) in list(self._timers.items()):
            # An action may have cancelled another.
            if due <= now and self._timers.get(key) == (due, action):
                del self._timers[key]
                action()
