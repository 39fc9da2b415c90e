"""Prometheus metrics, served by a thread of their own on a port that the proxy does not know."""

import os
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, MetricsHandler, ProcessCollector
from sqlalchemy import Engine, QueuePool

FIRST_PASSED = 3  # descriptor; see sd_listen_fds(3)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self) -> None:
        """Take a listening socket that was passed in, by systemd's protocol, rather than the port itself.

        Two processes can serve it side by side while one takes over from the other.
        """
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        if os.environ.get("LISTEN_PID") == str(os.getpid()) and "metrics" in names:
            self.socket.close()
            self.socket = socket.socket(fileno=os.dup(FIRST_PASSED + names.index("metrics")))
            # Whoever else is woken by a connection must not wait for the next one.
            self.socket.settimeout(0)
            self.server_address = self.socket.getsockname()
        else:
            super().server_bind()


class Metrics:
    """All that the process counts, in a registry of its own."""

    def __init__(self) -> None:
        """Create the metrics, all at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from the first byte read to the last byte of the answer",
            ("method", "route", "status"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.in_progress = Gauge("http_requests_in_progress", "Requests being worked on", registry=self.registry)
        self._connections = Gauge(
            "database_pool_connections", "Connections to the database", ("state",), registry=self.registry
        )
        self._build = Info("todo_build", "What is running", registry=self.registry)

    def describe(self, build: dict[str, str], engine: Engine) -> None:
        """Attach what is known only once the application starts."""
        self._build.info(build)
        pool = engine.pool
        if isinstance(pool, QueuePool):
            self._connections.labels("in_use").set_function(pool.checkedout)
            self._connections.labels("idle").set_function(pool.checkedin)

    @contextmanager
    def serve(self, port: int) -> Iterator[None]:
        """Answer scrapes of /metrics on the port, on all addresses; port 0 does nothing."""
        if not port:
            yield
            return
        with _Server(("", port), MetricsHandler.factory(self.registry)) as server:
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="metrics").start()
            try:
                yield
            finally:
                server.shutdown()
