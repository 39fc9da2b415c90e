"""The text of generated modules.

As in import_texts, a line that is about a data file names it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from differential.import_texts import imports_text

if TYPE_CHECKING:
    from differential.model import Model

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
    # It holds its file open, by which the processes that have such a thread are counted.
    "thread": "threading.Thread(target=threading.Event().wait, daemon=True).start(); HELD = open(__file__)\n",
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


def beginning(model: "Model", name: str) -> str:
    """Return the part that every module has."""
    module = model.modules[name]
    words = {"name": name, "value": module.value, "request": _from_directory(model, model.data_path("request.txt"))}
    if "plugins" in model.packages:
        words["plugins"] = model.packages["plugins"].name
    text = f'"""{name}."""\n{HEADER}VALUE = {module.value}\n'
    text += f'SEEN, LATER, LATE, DERIVED = {{"{name}": VALUE}}, {{}}, {{}}, VALUE\n'
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
        beginning(model, name)
        + f"{name}_value, {name}_derived = VALUE, DERIVED\n__all__ = ['{name}_value', '{name}_derived']\n"
        + imports_text(model, model.modules[name], is_end=True)
    )


def package_text(model: "Model", key: str) -> str:
    """Return the text of an __init__.py."""
    package = model.packages[key]
    if package.is_collecting:
        return "".join(f"from .{name} import {name}_value, {name}_derived\n" for name in model.collected(key))
    if not package.is_plugins:
        return ""
    return (
        "import importlib, pkgutil\n"
        "FOUND = [found.name for found in pkgutil.walk_packages(__path__, __name__ + '.')]\n"
        "for name in FOUND: importlib.import_module(name)\n"
    )
