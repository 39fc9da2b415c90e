"""Applications of many shapes, each from a seed."""

import random
from dataclasses import replace

from differential.case import Layout, Tree
from differential.model import Data, Import, Model, Module, Package
from differential.texts import LISTINGS

FLAT = {"p0": Package("app", "app"), "p1": Package("app/p1", "app.p1"), "p2": Package("app/p1/p2", "app.p1.p2")}
SRC = {"p0": Package("src/app", "app"), "p1": Package("src/app/p1", "app.p1")}
# Each with its packages, the one of the entry first.
LAYOUTS: dict[str, tuple[Layout, dict[str, Package]]] = {
    "flat": (Layout("flat", "app.main:app"), FLAT),
    "here": (Layout("here", "app.main:app", options=("--reload-dir", ".")), FLAT),
    "single": (Layout("single", "main:app", options=("--reload-dir", ".")), {"p0": Package(".", "")}),
    "package": (Layout("package", "app:app"), FLAT),
    "src": (Layout("src", "app.main:app", app_dir="src", options=("--reload-dir", "src")), SRC),
    "src name": (
        Layout("src name", "src.app.main:app", options=("--reload-dir", "src")),
        {"p0": Package("src/app", "src.app"), "p1": Package("src/app/p1", "src.app.p1")},
    ),
    "two names": (Layout("two names", "app.main:app", app_dir="src", options=("--reload-dir", "src")), SRC),
    "two roots": (
        Layout(
            "two roots",
            "app.main:app",
            python_path=("one", "two"),
            options=("--reload-dir", "one", "--reload-dir", "two"),
        ),
        {"p0": Package("one/app", "app"), "p1": Package("two/shared", "shared")},
    ),
    "two folders": (
        Layout("two folders", "app.main:app", options=("--reload-dir", "app", "--reload-dir", "lib")),
        {"p0": Package("app", "app"), "p1": Package("lib", "lib"), "p2": Package("app/p2", "app.p2")},
    ),
    "up": (
        Layout("up", "app.main:app", directory="app", app_dir="..", options=("--reload-dir", ".")),
        {"p0": Package("app", "app"), "p1": Package("app/p1", "app.p1")},
    ),
    "linked package": (
        Layout("linked package", "app.main:app"),
        {"p0": Package("app", "app"), "p1": Package("elsewhere/shared", "app.shared")},
    ),
    "linked root": (
        Layout("linked root", "app.main:app", app_dir="linked", options=("--reload-dir", "linked")),
        {"p0": Package("real/app", "app"), "p1": Package("real/app/p1", "app.p1")},
    ),
    "beside": (
        Layout("beside", "app.main:app", python_path=("libs",)),
        {"p0": Package("app", "app"), "p1": Package("libs/shared", "shared")},
    ),
}
# Neither links nor a second name or place.
PLAIN_LAYOUTS = ("flat", "here", "single", "package", "src", "two folders")
LINKS = {"linked package": {"app/shared": "../elsewhere/shared"}, "linked root": {"linked": "real"}}
SIZES = (3, 4, 5, 6, 8, 12, 20)
LARGE_SIZES = (60, 120, 300)
# How one module imports another, by how often.
STYLES = {
    "from": 5, "relative": 4, "module": 3, "from package": 3, "star": 2, "type checking": 1, "importlib": 2,
    "conditional": 2, "lazy": 1, "hub": 1, "through package": 2,
    "attribute of package": 2,
}  # fmt: skip
READS = ("json", "toml", "text", "beside", "template", *LISTINGS, "dotenv", "settings")


def make(seed: int, layout: str | None = None, *, is_plain: bool = False) -> Model:
    """Make an application.

    is_plain: with neither data that is read at import, nor what is started or logged then, nor a circle of imports,
    nor a package without __init__.
    """
    chance = random.Random(seed)  # noqa: S311
    name = layout or chance.choice(list(LAYOUTS))
    chosen, packages = LAYOUTS[name]
    framework = chance.choice(("fastapi", "starlette", "asgi"))
    model = Model(
        _varied(chosen, chance, is_plain=is_plain),
        framework,
        {key: replace(package) for key, package in packages.items()},
        links=dict(LINKS.get(name, {})),
        has_lifespan=chance.random() < 0.5,
    )
    if not is_plain and name not in {"package", "single"} and chance.random() < 0.25:
        for package in model.packages.values():
            package.has_init = False
    if chance.random() < 0.4:
        # Mostly of a package within another one, as tables and schemas are.
        inner = [package for package in model.packages.values() if "." in package.name]
        choice = chance.choice([*model.packages.values(), *inner, *inner])
        choice.is_collecting = bool(choice.name)
    if not is_plain and name not in {"single", "linked package", "beside"} and chance.random() < 0.25:
        _add_plugins(model, chance)
    size = chance.choice(LARGE_SIZES if chance.random() < 0.04 and not is_plain else SIZES)
    places = [key for key, package in model.packages.items() if not package.is_plugins]
    for _ in range(size):
        add_module(model, chance, chance.choice(places))
    _add_entry(model, chance)
    if any(one.style == "hub" for module in model.modules.values() for one in module.imports):
        model.modules["hub"] = Module("p0", 0)
    if not is_plain:
        _add_circle(model, chance)
        _add_features(model, chance)
    if not _can_be_imported(model, model.entry, set(), set()):
        for package in model.packages.values():
            package.is_collecting = False
    return model


def _can_be_imported(model: Model, name: str, begun: set[str], done: set[str]) -> bool:
    """Tell whether no module needs what another one has not got to yet, because its package collects that."""
    if name in begun:
        return name in done
    dotted = model.dotted(name)
    for key, package in model.packages.items():
        if dotted.startswith(f"{package.name}.") and key not in begun:
            begun.add(key)
            if not all(_can_be_imported(model, one, begun, done) for one in model.collected(key)):
                return False
    if name not in begun:
        begun.add(name)
        targets = [one.target for one in model.modules[name].imports if one.target in model.modules]
        if not all(_can_be_imported(model, one, begun, done) for one in targets):
            return False
        done.add(name)
    return name in done


def _varied(layout: Layout, chance: random.Random, *, is_plain: bool) -> Layout:
    if layout.name != "package" and chance.random() < 0.2:
        layout = replace(layout, application=layout.application.replace(":app", ":create"), is_factory=True)
    if not is_plain and chance.random() < 0.6:
        endings = ("*.txt", "*.json", "*.toml")
        layout = replace(layout, options=(*layout.options, *(f"--reload-include={ending}" for ending in endings)))
    return replace(layout, has_repository=not is_plain and chance.random() < 0.3)


def _add_plugins(model: Model, chance: random.Random) -> None:
    folder, name = model.packages["p0"].folder, model.packages["p0"].name
    model.packages["plugins"] = Package(f"{folder}/plugins", f"{name}.plugins", is_plugins=True)
    for _ in range(chance.randint(1, 3)):
        add_module(model, chance, "plugins")


def add_module(model: Model, chance: random.Random, package: str) -> str:
    """Add a module that imports some of those that are there; return its name."""
    name = f"m{model.fresh()}"
    others = [other for other, module in model.modules.items() if is_importable(model, other, module)]
    targets = chance.sample(others[-12:], min(len(others[-12:]), chance.choice((0, 1, 1, 2, 3))))
    model.modules[name] = Module(package, model.fresh(), [one_import(model, chance, target) for target in targets])
    return name


def is_importable(model: Model, name: str, module: Module) -> bool:
    """Tell whether another module may import it without a circle."""
    return name not in {model.entry, "hub", "registry"} and not model.packages[module.package].is_plugins


def one_import(model: Model, chance: random.Random, target: str) -> Import:
    """Return an import of the module in one of the ways."""
    style = chance.choices(list(STYLES), list(STYLES.values()))[0]
    has_prefix = model.layout.name == "two names" and style not in {"relative", "hub"} and chance.random() < 0.4
    return Import(target, style, "src." if has_prefix else "")


def _add_entry(model: Model, chance: random.Random) -> None:
    imported = {one.target for module in model.modules.values() for one in module.imports}
    importable = [name for name, module in model.modules.items() if is_importable(model, name, module)]
    targets = [name for name in importable if name not in imported or chance.random() < 0.2]
    imports = [one_import(model, chance, target) for target in targets]
    model.modules[model.entry] = Module("p0", model.fresh(), imports)
    if "plugins" in model.packages:
        # By its name, which is no module's.
        model.modules[model.entry].features.add("plugins")


def _add_circle(model: Model, chance: random.Random) -> None:
    """Let a module import one that imports it, and look into it at a request."""
    pairs = [
        (one.target, name)
        for name, module in model.modules.items()
        for one in module.imports
        if one.style in {"from", "module", "relative"} and not one.prefix and name != model.entry
    ]
    if pairs and chance.random() < 0.4:
        inner, outer = chance.choice(pairs)
        if is_importable(model, outer, model.modules[outer]):
            model.modules[inner].imports.append(
                Import(outer, chance.choice(("circular", "circular", "circular first")))
            )


def _add_features(model: Model, chance: random.Random) -> None:
    ordinary = [name for name in model.modules if name not in {"hub", "registry", model.entry}]
    for how in chance.sample(READS, chance.choice((0, 0, 1, 2, 4))):
        add_data(model, chance, how, chance.choice(ordinary))
    if chance.random() < 0.3:
        model.modules["registry"] = Module("p0", 0)
        for name in chance.sample(ordinary, min(3, len(ordinary))):
            model.modules[name].features.add("registers")
    if model.framework == "fastapi":
        for name in chance.sample(ordinary, min(2, len(ordinary))):
            model.modules[name].features.add("route")
    for feature, often in (("logs", 0.3), ("request", 0.3), ("thread", 0.08)):
        if chance.random() < often:
            model.modules[chance.choice(ordinary)].features.add(feature)
            if feature == "request":
                model.data[model.data_path("request.txt")] = f"request {model.fresh()}\n"
    if model.layout.name in {"flat", "here", "two folders"} and chance.random() < 0.2:
        name = chance.choice(ordinary)
        place = "elsewhere" if chance.random() < 0.5 else model.packages["p0"].folder
        model.linked[name] = f"{place}/{name}_file.py"


def data_text(how: str, number: int) -> str:
    """Return what such a file holds."""
    return {
        "json": f'{{"number": {number}}}\n',
        "toml": f"number = {number}\n",
        "template": f"template {number} of $value\n",
        "dotenv": f"SETTING=number {number}\n",
        "settings": f"SETTING=number {number}\n",
    }.get(how, f"number {number}\n")


def add_data(model: Model, chance: random.Random, how: str, reader: str) -> None:
    """Let a module read a new file, or list a new folder, as it is imported."""
    files: Tree = {}
    if how in {"dotenv", "settings"}:
        name = ".env"
        files[model.data_path(name)] = data_text(how, model.fresh())
    elif how in LISTINGS:
        name = f"d{model.fresh()}"
        for _ in range(chance.randint(1, 3)):
            files[f"{model.data_path(name)}/{model.fresh()}.txt"] = "listed\n"
    else:
        ending = {"json": ".json", "toml": ".toml"}.get(how, ".txt")
        name = f"d{model.fresh()}{ending}"
        files[model.data_path(name)] = data_text(how, model.fresh())
    model.data |= files
    model.modules[reader].reads.append(Data(name, how))
