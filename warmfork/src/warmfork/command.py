"""The command line: uvicorn's own options, by their own names, and those that a warm parent needs."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from uvicorn.config import LOGGING_CONFIG
from uvicorn.main import main as uvicorn_command

from warmfork.serve import serve
from warmfork.settings import Settings, SettingsError

# Options of uvicorn that have no meaning here: this is the reloader, with one process at a time and one event loop.
_LEFT_OUT = {
    "reload", "reload_dirs", "reload_includes", "reload_excludes", "reload_delay", "workers", "loop",
    "env_file",
    "limit_max_requests", "limit_max_requests_jitter", "timeout_worker_healthcheck", "interface", "version",
}  # fmt: skip
# Those that concern the sockets, which are opened here.
_SHARED = ("app", "host", "port", "uds", "fd")
_PATH = click.Path(path_type=Path)


_OPTIONS = [
    click.Option(["--env-file"], type=_PATH, help="File with variables; it may come, change and go"),
    click.Option(["--reload-dir"], multiple=True, type=_PATH, help="Folder with the application's code [default: .]"),
    click.Option(["--reload-include"], multiple=True, help="Further files that cause a reload, as a pattern of names or paths"),
    click.Option(["--reload-exclude"], multiple=True, help="Files and folders that do not, as a pattern"),
    click.Option(["--listen"], multiple=True, metavar="NAME=HOST:PORT",
                 help="A further socket, passed to the application as systemd does"),
    click.Option(["--preload"], multiple=True, metavar="MODULE", help="Import this into the parent as well"),
    click.Option(["--no-preload"], multiple=True, metavar="MODULE", help="Import this in the children only"),
    click.Option(["--standby/--no-standby"], default=True, help="Import ahead of the next change of the same file"),
    click.Option(["--hold-timeout"], type=float, default=2.0, show_default=True, metavar="SECONDS",
                 help="How long requests wait for new code before the old one answers"),
    click.Option(["--status-path"], metavar="PATH", help="Answer GET on this path with the state of the reloader"),
    click.Option(["--control"], type=_PATH, metavar="SOCKET", help="Take changed files over this Unix-domain socket"),
]  # fmt: skip


_HELP = "Serve an ASGI application for development: a saved file is served in a moment, and no request fails meanwhile."


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    theirs = [
        parameter
        for parameter in uvicorn_command.params
        if parameter.name not in _LEFT_OUT and not str(parameter.name).startswith(("ssl_", "http2"))
    ]
    command = click.Command("warmfork", params=[*theirs, *_OPTIONS], callback=_run, help=_HELP)
    command.main(arguments, prog_name="warmfork")
    raise AssertionError("click exits")


def _run(**options: Any) -> NoReturn:  # noqa: ANN401 - as click passes them
    try:
        sys.exit(serve(_settings(options)))
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> Settings:
    """Sort the options into our own and uvicorn's."""
    listen = _listen(options.pop("listen"))
    headers = [tuple(header.split(":", 1)) for header in options.pop("headers")]
    own = {name: options.pop(name) for name in _SHARED}
    own |= {f"reload_{name}s": options.pop(f"reload_{name}") for name in ("dir", "include", "exclude")}
    own |= {name: options.pop(name) for name in ("preload", "standby", "hold_timeout", "status_path", "control")}
    return Settings(
        **{**own, "reload_dirs": own["reload_dirs"] or (Path(),)},
        app_dir=Path(options.pop("app_dir") or "."),
        env_file=options.pop("env_file"),
        listen=listen,
        no_preload=frozenset(options.pop("no_preload")),
        uvicorn={**options, "headers": headers, "log_config": options["log_config"] or LOGGING_CONFIG},
    )


def _listen(values: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    listeners = {}
    for value in values:
        name, separator, address = value.partition("=")
        host, _, port = address.rpartition(":")
        if not separator or not name or not host or not port.isdecimal():
            raise SettingsError(f"--listen {value} is not NAME=HOST:PORT, for example metrics=127.0.0.1:9000")
        listeners[name] = (host.strip("[]"), int(port))
    return listeners
