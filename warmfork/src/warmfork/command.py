"""The command line: uvicorn's own options, by their own names, and those that a warm parent needs."""

import os
import sys
from copy import copy
from pathlib import Path
from typing import Any, NoReturn

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.main import main as uvicorn_command

import warmfork
from warmfork.child.swap import IS_SUPPORTED
from warmfork.serve import serve
from warmfork.server.options import NOT_PASSED_ON, RULES, Meaning
from warmfork.settings import Settings, SettingsError

_PATH = click.Path(path_type=Path)


def _print_version(context: click.Context, _: click.Parameter, given: bool) -> None:  # noqa: FBT001 - as click calls it
    if given and not context.resilient_parsing:
        click.echo(f"warmfork {warmfork.__version__}, with uvicorn {uvicorn.__version__}")
        context.exit()


# What is different in options that uvicorn has as well.
_CHANGES: dict[str, dict[str, Any]] = {
    "env_file": {"type": _PATH, "help": "File with variables; it may come, change and go"},
    "reload_dirs": {"help": "Folder with the application's code [default: .]"},
    "reload_includes": {"help": "Further files that cause a reload, as a pattern of names or paths"},
    "reload_excludes": {"help": "Files and folders that do not, as a pattern"},
    "version": {"callback": _print_version, "help": "Show the versions of warmfork and uvicorn, and exit."},
    **{
        name: {"help": f"As for uvicorn, but {rule.meaning}: {rule.note}."}
        for name, rule in RULES.items()
        if rule.meaning is not Meaning.SAME
    },
}


def _own(*names: str, **attributes: Any) -> click.Option:  # noqa: ANN401 - as click takes them
    # UVICORN_* are uvicorn's.
    return click.Option(names, allow_from_autoenv=False, **attributes)


class _SecondsOrAuto(click.ParamType[float | None]):
    """A number of seconds, or None for "auto"."""

    name = "seconds or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:  # noqa: ANN401 - as click has it
        if value == "auto":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of seconds nor auto", param, ctx)


_OPTIONS = [
    _own("--listen", multiple=True, metavar="NAME=HOST:PORT",
         help="A further socket, passed to the application as systemd does"),
    _own("--preload", multiple=True, metavar="MODULE", help="Import this into the parent as well"),
    _own("--no-preload", multiple=True, metavar="MODULE", help="Import this in the children only"),
    _own("--standby/--no-standby", default=True, help="Import ahead of the next change of the same file"),
    _own("--swap/--no-swap", default=True,
         help="Where a save only changes what functions do, change them without an import"
         + ("" if IS_SUPPORTED else "; off, for it needs Python 3.12")),
    _own("--fresh", multiple=True, metavar="MODULE",
         help="Execute this again for each change, though it is the same; turns swapping off"),
    _own("--hold-timeout", type=_SecondsOrAuto(), default="auto", show_default=True, metavar="SECONDS",
         help="How long requests wait for new code before the old one answers; auto: 10, or twice as long as the last"
         " starts took"),
    _own("--status-path", metavar="PATH", help="Answer GET on this path with the state of the reloader"),
    _own("--control", type=_PATH, metavar="SOCKET", help="Take changed files over this Unix-domain socket"),
]  # fmt: skip


_HELP = "Serve an ASGI application for development: a saved file is served in a moment, and no request fails meanwhile."


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    command().main(arguments, prog_name="warmfork")
    raise AssertionError("click exits")


def command() -> click.Command:
    """Return the command, which reads the environment variables that uvicorn's does."""
    theirs = [_changed(parameter) for parameter in uvicorn_command.params]
    settings = uvicorn_command.context_settings
    return click.Command("warmfork", params=[*theirs, *_OPTIONS], callback=_run, help=_HELP, context_settings=settings)


def _changed(parameter: click.Parameter) -> click.Parameter:
    changes = _CHANGES.get(str(parameter.name))
    if not changes:
        return parameter
    ours = copy(parameter)
    vars(ours).update(changes)
    return ours


def _run(**options: Any) -> NoReturn:  # noqa: ANN401 - as click passes them
    try:
        sys.exit(serve(_settings(options)))
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> Settings:
    """Sort the options into our own and uvicorn's."""
    if (options["workers"] or 1) > 1:
        raise SettingsError(f"--workers {options['workers']}: {RULES['workers'].note}")
    if (count := os.environ.get("WEB_CONCURRENCY", "1")) != "1":
        print(f"warmfork: WEB_CONCURRENCY={count} has no effect: one process serves", file=sys.stderr)
    for header in options["headers"]:
        if ":" not in header:
            raise SettingsError(f"--header {header} is not NAME:VALUE")
    headers = [tuple(header.split(":", 1)) for header in options["headers"]]
    own = {option.name for option in _OPTIONS}
    theirs = {name: value for name, value in options.items() if name not in NOT_PASSED_ON | own}
    return Settings(
        app=options["app"],
        host=options["host"],
        port=options["port"],
        uds=options["uds"],
        fd=options["fd"],
        app_dir=Path(options["app_dir"] or "."),
        env_file=options["env_file"],
        reload_dirs=tuple(map(Path, options["reload_dirs"])) or (Path(),),
        reload_includes=options["reload_includes"],
        reload_excludes=options["reload_excludes"],
        listen=_listen(options["listen"]),
        preload=options["preload"],
        no_preload=frozenset(options["no_preload"]),
        standby=options["standby"],
        swap=options["swap"],
        fresh=frozenset(options["fresh"]),
        hold_timeout=options["hold_timeout"],
        status_path=options["status_path"],
        control=options["control"],
        uvicorn={**theirs, "headers": headers, "log_config": options["log_config"] or LOGGING_CONFIG},
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
