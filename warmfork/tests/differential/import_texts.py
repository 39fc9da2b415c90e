"""The lines by which generated modules import each other.

Each line names the module that it is about, so that a case can be cut down by leaving lines out.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from differential.model import Import, Model, Module


def _taken(one: "Import", names: str) -> str:
    target = one.target
    return f"; SEEN['{target}'], DERIVED = {names}, (DERIVED * 31 + {target}_derived) % 1000003\n"


def _from(_: "Model", one: "Import", place: str) -> str:
    target = one.target
    return f"from {place} import {target}_value, {target}_derived" + _taken(one, f"{target}_value")


def _relative(one: "Import", place: str, package: str) -> str:
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
    return f"import {place} as {target}_module; {target}_derived = {target}_module.DERIVED" + _taken(
        one, f"{target}_module.VALUE"
    )


def _from_package(model: "Model", one: "Import", place: str) -> str:
    package, _, last = place.rpartition(".")
    if not package:
        return _module(model, one, place)
    target = one.target
    return f"from {package} import {last} as {target}_module; {target}_derived = {target}_module.DERIVED" + _taken(
        one, f"{target}_module.VALUE"
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


def _through_package(model: "Model", one: "Import", place: str) -> str:
    is_collected = one.target in model.collected(model.modules[one.target].package) and not one.prefix
    return _from(model, one, place.rpartition(".")[0] if is_collected else place)


def _attribute_of_package(model: "Model", one: "Import", place: str) -> str:
    target, package = one.target, place.rpartition(".")[0]
    is_collected = target in model.collected(model.modules[target].package) and not one.prefix
    if not is_collected or "." not in package:
        return _from(model, one, place)
    above, _, last = package.rpartition(".")
    return (
        f"from {above} import {last} as {target}_package; {target}_derived = {target}_package.{target}_derived"
        + _taken(one, f"{target}_package.{target}_value")
    )


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
    "through package": _through_package,
    "attribute of package": _attribute_of_package,
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
            place = _relative(one, place, model.packages[module.package].name)
        lines.append(STYLES[one.style](model, one, place))
    return "".join(lines)
