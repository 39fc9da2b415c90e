"""The text of generated modules.

A line that is about another module or a data file names it, so that a case can be cut down by leaving lines out.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from differential.model import Import, Model, Module, Package

HEADER = """\
import importlib, json, logging, os, string, sys, threading, tomllib
from pathlib import Path
from typing import TYPE_CHECKING
def read(path, load=str):
    try:
        with open(path) as file: return load(file.read())
    except FileNotFoundError: return None
"""

READS: Mapping[str, str] = {
    "json": "read({path!r}, json.loads)",
    "toml": "read({path!r}, tomllib.loads)",
    "text": "Path({path!r}).read_text()",
    "beside": "read(os.path.join(os.path.dirname(__file__), {beside!r}))",
    "template": "read({path!r}, string.Template).substitute(value=VALUE)",
    "os.listdir": "sorted(os.listdir({path!r}))",
    "glob": "sorted(path.name for path in Path({path!r}).glob('*.txt'))",
    "scandir": "sorted(entry.name for entry in os.scandir({path!r}))",
    "dotenv": "dict(importlib.import_module('dotenv').dotenv_values({path!r}))",
    "settings": "settings({path!r})",
}
LISTINGS = ("os.listdir", "glob", "scandir")
SETTINGS = """\
def settings(path):
    from pydantic_settings import BaseSettings, SettingsConfigDict
    class Settings(BaseSettings):
        model_config = SettingsConfigDict(env_file=path, extra="ignore")
        setting: str = ""
    return Settings().setting
"""
ROUTE = """\
from fastapi import APIRouter
from pydantic import BaseModel
class {name}_Answer(BaseModel):
    {name}_field_{value}: int = VALUE
{name}_router = APIRouter()
@{name}_router.get("/{name}/{value}")
async def {name}_route() -> {name}_Answer: return {name}_Answer()
"""
FEATURES: Mapping[str, str] = {
    "thread": "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "logs": "logging.getLogger(__name__).error('{name} logs {value}')\n",
    "request": "LATER['{name} per request'] = lambda: read('{request}')\n",
    "route": ROUTE,
    "plugins": "import {plugins}\n",
}
FAULTS: Mapping[str, str] = {
    "syntax": "VALUE = = {value}\n",
    "unfinished": "def {name}_unfinished(\n",
    "name": "VALUE = missing_{value}\n",
    "raise": "raise RuntimeError('{name} raises {value}')\n",
    "exit": "raise SystemExit({value})\n",
    "import": "import missing_module_{value}\n",
    "attribute": "from os import missing_{value}\n",
    "null": "VALUE = 1 \0\n",
}


def _taken(one: "Import", names: str) -> str:
    target = one.target
    return f"; SEEN['{target}'], DERIVED = {names}, (DERIVED * 31 + {target}_derived) % 1000003\n"


def _from(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return f"from {place} import {target}_value, {target}_derived" + _taken(one, f"{target}_value")


def _relative(model: "Model", one: "Import", place: str, package: str) -> str:
    """Write the name as seen from a package."""
    own, parts = package.split("."), place.split(".")
    if not package or own[0] != parts[0] or one.prefix:
        return place
    common = 0
    while common < min(len(own), len(parts) - 1) and own[common] == parts[common]:
        common += 1
    return "." * (len(own) - common + 1) + ".".join(parts[common:])


def _module(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return (
        f"import {place} as {target}_module; {target}_derived = {target}_module.DERIVED"
        + _taken(one, f"{target}_module.VALUE")
    )


def _from_package(model: "Model", one: "Import", place: str) -> str:
    package, _, last = place.rpartition(".")
    if not package:
        return _module(model, one, place)
    target = one.target
    return (
        f"from {package} import {last} as {target}_module; {target}_derived = {target}_module.DERIVED"
        + _taken(one, f"{target}_module.VALUE")
    )


def _star(_: "Model", one: "Import", place: str) -> str:
    return f"from {place} import *  # {one.target}\n" + _taken(one, f"{one.target}_value").removeprefix("; ")


def _type_checking(_: "Model", one: "Import", place: str) -> str:
    return f"if TYPE_CHECKING: from {place} import {one.target}_value\n"


def _importlib(_: "Model", one: "Import", place: str) -> str:
    target, parts = one.target, place.split(".")
    return (
        f"{target}_module = importlib.import_module('.'.join({parts!r})); {target}_derived = {target}_module.DERIVED"
        + _taken(one, f"{target}_module.VALUE")
    )


def _conditional(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return (
        f"try: from {place} import {target}_value, {target}_derived\n"
        f"except ImportError: {target}_value, {target}_derived = None, 0\n"
        + _taken(one, f"{target}_value").removeprefix("; ")
    )


def _lazy(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return (
        f"def {target}_late(): from {place} import {target}_value, {target}_derived; return {target}_value\n"
        f"LATE['{target}'] = {target}_late\n"
    )


def _circular(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return f"import {place} as {target}_circle; LATER['{target} around'] = lambda: {target}_circle.VALUE\n"


def _hub(model: "Model", one: "Import", place: str) -> str:
    return _from(model, one, model.dotted("hub") if "hub" in model.modules else place)


STYLES: Mapping[str, Callable[["Model", "Import", str], str]] = {
    "from": _from,
    "relative": _from,
    "module": _module,
    "from package": _from_package,
    "star": _star,
    "type checking": _type_checking,
    "importlib": _importlib,
    "conditional": _conditional,
    "lazy": _lazy,
    "circular": _circular,
    "circular first": _circular,
    "hub": _hub,
}


def imports_text(model: "Model", module: "Module", *, is_end: bool = False) -> str:
    """Return the lines that import others at the module's beginning or end."""
    lines = []
    for one in module.imports:
        if (one.style == "circular") is not is_end:
            continue
        if one.target not in model.modules and one.style != "conditional":
            continue
        place = one.prefix + (model.dotted(one.target) if one.target in model.modules else f"absent.{one.target}")
        if one.style == "relative":
            place = _relative(model, one, place, model.packages[module.package].name)
        lines.append(STYLES[one.style](model, one, place))
    return "".join(lines)


def _beginning(model: "Model", name: str) -> str:
    module = model.modules[name]
    words = {"name": name, "value": module.value, "request": _from_directory(model, model.data_path("request.txt"))}
    if "plugins" in model.packages:
        words["plugins"] = model.packages["plugins"].name
    text = f'"""{name}."""\n{HEADER}VALUE = {module.value}\nSEEN, LATER, LATE, DERIVED = {{"{name}": VALUE}}, {{}}, {{}}, VALUE\n'
    if any(data.how == "settings" for data in module.reads):
        text += SETTINGS
    text += imports_text(model, module)
    for data in module.reads:
        path = model.data_path(data.name)
        ups = "../" * model.path(name).count("/")
        reading = READS[data.how].format(path=_from_directory(model, path), beside=f"{ups}{path}")
        text += f"SEEN[{data.name!r}] = {reading}\n"
    text += f"def {name}_body(): return {module.body}\nLATER['{name} body'] = {name}_body\n"
    text += "".join(FEATURES[feature].format(**words) for feature in sorted(module.features) if feature in FEATURES)
    if "registers" in module.features:
        text += f"importlib.import_module({model.dotted('registry')!r}).NAMES.append('{name}')  # registry\n"
    if module.fault in FAULTS:
        text += FAULTS[module.fault].format(**words)
    return text


def _from_directory(model: "Model", path: str) -> str:
    """Return a path below the root as seen from the working directory."""
    directory = model.layout.directory
    return path.removeprefix(f"{directory}/") if path.startswith(f"{directory}/") or directory == "." else f"../{path}"


def module_text(model: "Model", name: str) -> str:
    """Return the text of a module that is not the entry."""
    if name == "registry":
        return "NAMES = []\n"
    if name == "hub":
        targets = {one.target for module in model.modules.values() for one in module.imports if one.style == "hub"}
        lines = [
            f"    if name in ('{target}_value', '{target}_derived'): "
            f"return getattr(importlib.import_module('{model.dotted(target)}'), name)\n"
            for target in sorted(targets & model.modules.keys())
        ]
        return f"import importlib\ndef __getattr__(name):\n{''.join(lines)}    raise AttributeError(name)\n"
    return (
        _beginning(model, name)
        + f"{name}_value, {name}_derived = VALUE, DERIVED\n__all__ = ['{name}_value', '{name}_derived']\n"
        + imports_text(model, model.modules[name], is_end=True)
    )


def package_text(package: "Package") -> str:
    """Return the text of an __init__.py."""
    if not package.is_plugins:
        return ""
    return (
        "import importlib, pkgutil\n"
        "FOUND = [found.name for found in pkgutil.walk_packages(__path__, __name__ + '.')]\n"
        "for name in FOUND: importlib.import_module(name)\n"
    )


ENTRY = """\
STARTED = []
LOADED = []
def call(function):
    try: return function()
    except Exception as error: return repr(error)
def state():
    found = {}
    for name in LOADED:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        values = getattr(module, "__dict__", {})
        found[name] = {"file": file and os.path.relpath(os.path.realpath(file)), "package": module.__package__}
        if "SEEN" in values:
            later = {key: call(function) for key, function in values["LATER"].items()}
            found[name] |= {"seen": values["SEEN"], "derived": values["DERIVED"], "later": later}
        if "NAMES" in values: found[name]["names"] = sorted(values["NAMES"])
        if "FOUND" in values: found[name]["found"] = sorted(values["FOUND"])
    return {"modules": found, "started": STARTED, "paths": PATHS}
def late():
    found = {}
    for name in LOADED:
        functions = getattr(sys.modules.get(name), "LATE", {})
        found[name] = {key: function() for key, function in functions.items()}
    return found
"""
LIFESPAN = """\
from contextlib import asynccontextmanager
@asynccontextmanager
async def lifespan(app):
    STARTED.append(VALUE)
    yield
"""
FASTAPI = """\
from fastapi import FastAPI
from fastapi.responses import JSONResponse
def create():
    app = FastAPI({lifespan})
    for router in ROUTERS: app.include_router(router)
    @app.get("/")
    async def root() -> JSONResponse: return JSONResponse(state())
    @app.get("/late")
    async def late_route() -> JSONResponse: return JSONResponse(late())
    return app
"""
STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def root(_): return JSONResponse(state())
async def late_route(_): return JSONResponse(late())
def create(): return Starlette(routes=[Route("/", root), Route("/late", late_route)]{lifespan})
"""
ASGI = """\
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        STARTED.append(VALUE)
        if FAULT: return await send({"type": "lifespan.startup.failed", "message": FAULT})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    body = json.dumps(late() if scope["path"] == "/late" else state()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
def create(): return application
"""


def entry_text(model: "Model") -> str:
    """Return the text of the module that has the application."""
    module = model.modules[model.entry]
    text = _beginning(model, model.entry) + ENTRY
    fault = f"the lifespan fails {module.value}" if module.fault == "lifespan" else ""
    if model.framework == "asgi":
        text += f"PATHS, FAULT = [], {fault!r}\n{ASGI}"
    else:
        lifespan = LIFESPAN.replace("    yield", f"    raise RuntimeError({fault!r})\n    yield") if fault else LIFESPAN
        text += lifespan if model.has_lifespan else ""
        text += "ROUTERS = []\n"
        for one in module.imports:
            if one.target in model.modules and "route" in model.modules[one.target].features and one.style != "lazy":
                place = model.dotted(one.target)
                text += f"from {place} import {one.target}_router; ROUTERS.append({one.target}_router)\n"
        text += "PATHS = [route.path for router in ROUTERS for route in router.routes]\n"
        if model.framework == "fastapi":
            text += FASTAPI.format(lifespan="lifespan=lifespan" if model.has_lifespan else "")
        else:
            text += STARLETTE.format(lifespan=", lifespan=lifespan" if model.has_lifespan else "")
    tops = sorted({package.name.partition(".")[0] for package in model.packages.values() if package.name})
    if not model.layout.is_factory:
        text += "app = create()\n"
    return text + (
        f"LOADED += sorted(name for name, module in sys.modules.items() if module is not None and "
        f"(name.partition('.')[0] in {tops} or not {{'SEEN', 'NAMES'}}.isdisjoint(getattr(module, '__dict__', {{}}))))\n"
    )
