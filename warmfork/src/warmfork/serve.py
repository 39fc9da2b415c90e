"""Serves in the best way that the system allows: by forks, or else by uvicorn's own reloader."""

import os
import signal
import sys

import uvicorn

from warmfork.parent import supervisor
from warmfork.settings import Settings
from warmfork.sockets import remove_file
from warmfork.watching.watcher import WatchError


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status. Raises SettingsError."""
    if not sys.platform.startswith("linux"):
        # There forks of a process that has used a system framework are unsafe, and inotify does not exist.
        return _poll(settings, f"{sys.platform} has no inotify")
    try:
        code = supervisor.run(settings)
    except WatchError as error:
        # uvicorn makes the same one.
        remove_file(settings)
        return _poll(settings, str(error))
    remove_file(settings)
    return code


def _poll(settings: Settings, reason: str) -> int:
    """Start a new process for each change, found by looking at the files over and over."""
    # A parent that has given its place to this program may have left it signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    print(f"warmfork: {reason}; a change starts a new process instead, which takes a second", file=sys.stderr)
    os.environ["WATCHFILES_FORCE_POLLING"] = "true"
    uvicorn.run(
        settings.app,
        host=settings.host,
        port=settings.port,
        uds=settings.uds,
        fd=settings.fd,
        app_dir=str(settings.app_dir),
        env_file=settings.env_file,
        reload=True,
        # uvicorn first looks at the files after this delay, by default a quarter of a second: too late for one that is
        # saved as soon as the application answers.
        reload_delay=0.05,
        reload_dirs=[str(folder) for folder in settings.reload_dirs],
        reload_includes=list(settings.reload_includes) or None,
        reload_excludes=list(settings.reload_excludes) or None,
        **{**settings.uvicorn, "timeout_graceful_shutdown": settings.graceful_timeout},
    )
    return 0
