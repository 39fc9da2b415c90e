"""What a run is told by its command line, or by a program that uses this package."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmfork.child.swap import IS_SUPPORTED
from warmfork.server.options import mistakes
from warmfork.snapshot.folders import is_folder

# File names that cause a reload beside *.py.
INCLUDES = (".env*",)


class SettingsError(Exception):
    """The settings cannot work; the text says which one, why, and what would."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve and what to watch.

    app: "module:attribute"; reload_dirs: folders with the application's code; hold_timeout: seconds that
    requests wait for new code, None for what the last starts suggest; listen: addresses of further sockets, by name;
    fresh: modules to execute again for each change; uvicorn: keyword arguments of uvicorn.Config.
    """

    app: str
    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    fd: int | None = None
    app_dir: Path = Path()
    reload_dirs: tuple[Path, ...] = (Path(),)
    reload_includes: tuple[str, ...] = ()
    reload_excludes: tuple[str, ...] = ()
    env_file: Path | None = None
    listen: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    no_preload: frozenset[str] = frozenset()
    standby: bool = True
    swap: bool = True
    fresh: frozenset[str] = frozenset()
    hold_timeout: float | None = None
    status_path: str | None = None
    control: Path | None = None
    uvicorn: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_swapping(self) -> bool:
        """Whether functions may be changed in place: a module that is to be executed again would not be."""
        return self.swap and IS_SUPPORTED and not self.fresh

    @property
    def graceful_timeout(self) -> float:
        """Seconds that a request under way may take when its process is to end. uvicorn would wait for ever."""
        given = self.uvicorn.get("timeout_graceful_shutdown")
        return 3 if given is None else given

    def __post_init__(self) -> None:
        """Raise SettingsError for what can be told beforehand."""
        if ":" not in self.app:
            raise SettingsError(f"{self.app} names no application; write module:attribute, for example app.main:app")
        for folder in self.reload_dirs:
            if not is_folder(folder):
                raise SettingsError(f"--reload-dir {folder} is no folder")
        for mistake in mistakes(self.uvicorn):
            raise SettingsError(mistake)
        if self.status_path and not self.status_path.startswith("/"):
            raise SettingsError(f"--status-path {self.status_path} does not start with a slash")
