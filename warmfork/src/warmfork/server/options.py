"""What each option of uvicorn's command means here: the data behind the help, the checks and the table in README."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

from uvicorn import config as uvicorn_config
from uvicorn.config import HTTP_PROTOCOLS, SSL_PROTOCOL_VERSION, WS_PROTOCOLS, create_ssl_context

# The second is the name before 0.36.
LOOP_FACTORIES: Mapping[str, str | None] = (
    getattr(uvicorn_config, "LOOP_FACTORIES", None) or vars(uvicorn_config)["LOOP_SETUPS"]
)


class Meaning(StrEnum):
    """What an option of uvicorn means here."""

    SAME = "the same"
    NO_EFFECT = "accepted without effect"
    ONE_ONLY = "refused above 1"


@dataclass(frozen=True)
class Rule:
    """How an option is taken. note: the difference, what takes its place, or what to do instead."""

    meaning: Meaning = Meaning.SAME
    note: str = ""


_TLS = "a connection with TLS is closed between two requests at a reload, not moved"
_RECYCLED = "each save brings a new process anyway"
_AS_IS = Rule()

# By the name of uvicorn's parameter. A test fails as soon as uvicorn has one that is missing.
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            "app", "host", "port", "fd", "ws", "ws_max_size", "ws_max_queue", "ws_ping_interval", "ws_ping_timeout",
            "ws_per_message_deflate", "lifespan", "interface", "log_config", "log_level", "access_log", "use_colors",
            "proxy_headers", "server_header", "date_header", "forwarded_allow_ips", "root_path", "limit_concurrency",
            "backlog", "timeout_keep_alive", "headers", "h11_max_incomplete_event_size",
            "reset_contextvars", "factory",
        ),
        _AS_IS,
    ),
    "uds": Rule(note="a file that an ended server has left is replaced; one that a server listens on is an error"),
    "reload_dirs": Rule(note="the application's code"),
    "reload_includes": Rule(note="beside `*.py` and `.env*`"),
    "reload_excludes": _AS_IS,
    "env_file": Rule(note="it may be missing; when it comes, changes or goes, the parent starts anew"),
    "app_dir": Rule(note="where it is a link, modules know their real path"),
    "loop": Rule(note="`auto` takes uvloop where it is installed"),
    "http": Rule(note="with `zttp` or a class of your own, kept connections end at a reload"),
    "http2": Rule(note="connections end at a reload"),
    "timeout_graceful_shutdown": Rule(note="3 seconds if it is not given, where uvicorn would wait for ever"),
    **dict.fromkeys(
        (
            "ssl_keyfile", "ssl_certfile", "ssl_keyfile_password", "ssl_version", "ssl_cert_reqs", "ssl_ca_certs",
            "ssl_ciphers",
        ),
        Rule(note=_TLS),
    ),
    "version": Rule(note="of warmfork and of uvicorn"),
    "reload": Rule(Meaning.NO_EFFECT, "it always reloads"),
    "reload_delay": Rule(Meaning.NO_EFFECT, "the kernel tells of a change, nothing is looked at in turns"),
    "limit_max_requests": Rule(Meaning.NO_EFFECT, _RECYCLED),
    "limit_max_requests_jitter": Rule(Meaning.NO_EFFECT, _RECYCLED),
    "timeout_worker_healthcheck": Rule(Meaning.NO_EFFECT, "there is one worker, and its end is noticed at once"),
    "workers": Rule(
        Meaning.ONE_ONLY,
        "one process serves, and each save replaces it; leave the option out, and give it to uvicorn in production",
    ),
}  # fmt: skip

# Arguments of uvicorn.Config that are settings here, or have no meaning.
NOT_PASSED_ON = frozenset(
    {
        "app", "host", "port", "uds", "fd", "env_file", "reload", "reload_dirs", "reload_includes", "reload_excludes",
        "app_dir", "version",
        *(name for name, rule in RULES.items() if rule.meaning is not Meaning.SAME),
    }
)  # fmt: skip
# What uvicorn imports only when it starts to serve, whatever its options.
IMPORTED_LATE = (
    "uvicorn.lifespan.on",
    "uvicorn.logging",
    "uvicorn.loops.asyncio",
    "uvicorn.middleware.proxy_headers",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
# What each implementation is, beside uvicorn itself.
_LIBRARIES = {
    "uvloop": "uvloop", "zuvloop": "zuvloop", "httptools": "httptools", "zttp": "zttp",
    "websockets": "websockets", "websockets-sansio": "websockets", "wsproto": "wsproto",
}  # fmt: skip


def table(flags: Mapping[str, str]) -> str:
    """Return the rules as a table in Markdown, options with an equal rule in one row. flags: by parameter."""
    rows: dict[Rule, list[str]] = {}
    for name, flag in flags.items():
        rows.setdefault(RULES[name], []).append(f"`{flag}`")
    order = list(Meaning)
    lines = [
        f"| {', '.join(names)} | {rule.meaning}{f'; {rule.note}' if rule.note else ''} |"
        for rule, names in sorted(rows.items(), key=lambda row: (order.index(row[0].meaning), bool(row[0].note)))
    ]
    return "\n".join(["| Options of uvicorn | Here |", "|---|---|", *lines, ""])


def imported_late(uvicorn: Mapping[str, Any]) -> Iterator[str]:
    """Yield modules that uvicorn imports only when it starts with these arguments of its Config."""
    yield from IMPORTED_LATE
    loop, http, ws = (uvicorn.get(name, "auto") for name in ("loop", "http", "ws"))
    if loop in {"auto", "uvloop"}:
        yield "uvloop"
    for name, places in ((loop, LOOP_FACTORIES), (http, HTTP_PROTOCOLS), (ws, WS_PROTOCOLS)):
        if isinstance(name, str) and (place := places.get(name)):
            yield place.partition(":")[0]


def mistakes(uvicorn: Mapping[str, Any]) -> Iterator[str]:
    """Yield what cannot work in these arguments of uvicorn.Config, in the words of the command line."""
    for name in uvicorn:
        if name in NOT_PASSED_ON:
            yield f"uvicorn={{{name!r}: …}} has no effect: {RULES[name].note or 'it is a field of Settings'}"
    for name, choices in (("loop", LOOP_FACTORIES), ("http", HTTP_PROTOCOLS), ("ws", WS_PROTOCOLS)):
        yield from _unknown(name, uvicorn.get(name, "auto"), choices)
    if uvicorn.get("http2") and uvicorn.get("http") != "zttp":
        yield "--http2 needs --http zttp"
    if uvicorn.get("ssl_keyfile") and not uvicorn.get("ssl_certfile"):
        yield "--ssl-keyfile needs --ssl-certfile"
    elif uvicorn.get("ssl_certfile") and not uvicorn.get("ssl_context_factory"):
        yield from _unusable_certificate(uvicorn)


def _unknown(name: str, value: object, choices: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(value, str):
        return
    if value not in choices and ":" not in value:
        yield f"--{name} {value} is none of {', '.join(choices)}, and no module:attribute"
    elif value in choices and (library := _LIBRARIES.get(value)) and not find_spec(library):
        yield f"--{name} {value} needs the package {library}, which is not installed"


def _unusable_certificate(uvicorn: Mapping[str, Any]) -> Iterator[str]:
    try:
        create_ssl_context(
            uvicorn["ssl_certfile"],
            uvicorn.get("ssl_keyfile"),
            uvicorn.get("ssl_keyfile_password"),
            uvicorn.get("ssl_version", SSL_PROTOCOL_VERSION),
            uvicorn.get("ssl_cert_reqs", ssl.CERT_NONE),
            uvicorn.get("ssl_ca_certs"),
            uvicorn.get("ssl_ciphers"),
        )
    except (OSError, ValueError) as error:
        files = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")
        given = " ".join(f"--{name.replace('_', '-')} {uvicorn[name]}" for name in files if uvicorn.get(name))
        yield f"{given}: {error}"
