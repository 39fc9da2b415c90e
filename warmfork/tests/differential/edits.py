"""Random edits of every kind, each by changing what the application is made of and saving what differs in its files."""

import random
from collections.abc import Callable, Mapping

from differential.import_texts import STYLES
from differential.model import Model, Module
from differential.shapes import READS, add_data, add_module, data_text, is_importable, one_import
from differential.texts import LISTINGS

# Changes the model; returns folders that are moved, from where to where, before files are saved. Raises IndexError
# where the application has nothing of the kind.
Change = Callable[[Model, random.Random], Mapping[str, str] | None]


def _ordinary(model: Model) -> list[str]:
    return [name for name in model.modules if name not in {"hub", "registry"}]


def _one(model: Model, chance: random.Random) -> Module:
    """Choose a module, often the one that was chosen last."""
    if model.latest not in model.modules or chance.random() < 0.4:
        model.latest = chance.choice(_ordinary(model))
    return model.modules[model.latest]


def _constant(model: Model, chance: random.Random) -> None:
    _one(model, chance).value = model.fresh()


def _body(model: Model, chance: random.Random) -> None:
    _one(model, chance).body = model.fresh()


def _add_import(model: Model, chance: random.Random) -> None:
    names = _ordinary(model)
    position = chance.choice(range(1, len(names)))
    importer, earlier = names[position], names[:position]
    targets = [name for name in earlier if is_importable(model, name, model.modules[name])]
    target = chance.choice(targets)
    model.modules[importer].imports.append(one_import(model, chance, target))


def _remove_import(model: Model, chance: random.Random) -> None:
    module = chance.choice([module for module in model.modules.values() if module.imports])
    module.imports.remove(chance.choice(module.imports))


def _restyle_import(model: Model, chance: random.Random) -> None:
    one = chance.choice([one for module in model.modules.values() for one in module.imports])
    one.style = chance.choice([style for style in STYLES if style not in {"hub", "circular", "circular first"}])


def _new_module(model: Model, chance: random.Random) -> None:
    places = list(model.packages)
    name = add_module(model, chance, chance.choice(places))
    if not model.packages[model.modules[name].package].is_plugins:
        entry = model.modules.pop(model.entry)
        entry.imports.append(one_import(model, chance, name))
        model.modules[model.entry] = entry


def _remove_module(model: Model, chance: random.Random) -> None:
    name = chance.choice([name for name in _ordinary(model) if name != model.entry])
    del model.modules[name]
    model.linked.pop(name, None)
    for module in model.modules.values():
        module.imports = [one for one in module.imports if one.target != name or one.style == "conditional"]


def _remove_file(model: Model, chance: random.Random) -> None:
    """Delete a module that others still import."""
    name = chance.choice([name for name in _ordinary(model) if name != model.entry])
    model.modules[name].fault = "gone"


def _rename_module(model: Model, chance: random.Random) -> None:
    old = chance.choice([name for name in _ordinary(model) if name != model.entry])
    new = f"m{model.fresh()}"
    model.modules = {new if name == old else name: module for name, module in model.modules.items()}
    model.linked.pop(old, None)
    for _, one in model.importers(old):
        one.target = new


def _rename_package(model: Model, chance: random.Random) -> Mapping[str, str]:
    package = model.packages[chance.choice([key for key in model.packages if _is_inner(model, key)])]
    name, old = f"p{model.fresh()}", package.folder
    package.folder = f"{old.rpartition('/')[0]}/{name}"
    package.name = f"{package.name.rpartition('.')[0]}.{name}"
    return {old: package.folder}


def _is_inner(model: Model, key: str) -> bool:
    """Tell whether a package lies below the entry's, and none below it."""
    folder = model.packages[key].folder
    if any(other.folder.startswith(f"{folder}/") for other in model.packages.values()):
        return False
    return folder.startswith(f"{model.packages['p0'].folder}/")


def _replace_folder(model: Model, chance: random.Random) -> Mapping[str, str]:
    """Move a package's folder away and one with other values into its place."""
    keys = [key for key, package in model.packages.items() if package.folder not in {".", model.layout.directory}]
    key = chance.choice(keys)
    folder = model.packages[key].folder
    for name, module in model.modules.items():
        if module.package == key and name not in {"hub", "registry"}:
            module.value = model.fresh()
    return {folder: f"away{model.fresh()}/{folder.rpartition('/')[2]}"}


def _toggle_init(model: Model, chance: random.Random) -> None:
    keys = [key for key, package in model.packages.items() if package.name and not package.is_plugins]
    package = model.packages[chance.choice(keys)]
    package.has_init = not package.has_init


def _collect(model: Model, chance: random.Random) -> None:
    """Let a package import all that is in it, or none any more."""
    packages = [package for package in model.packages.values() if package.name and package.has_init]
    package = chance.choice([package for package in packages if not package.is_plugins])
    package.is_collecting = not package.is_collecting


def _all_inits(model: Model, chance: random.Random) -> None:
    packages = [package for package in model.packages.values() if package.name and not package.is_plugins]
    chance.choice(packages)
    is_there = all(package.has_init for package in packages)
    for package in packages:
        package.has_init = not is_there


def _readers(model: Model) -> list[tuple[str, str]]:
    return [(data.name, data.how) for module in model.modules.values() for data in module.reads]


def _data(model: Model, chance: random.Random) -> None:
    name, how = chance.choice([read for read in _readers(model) if read[1] not in LISTINGS])
    model.data[model.data_path(name)] = data_text(how, model.fresh())


def _delete_data(model: Model, chance: random.Random) -> None:
    name, _ = chance.choice([read for read in _readers(model) if model.data_path(read[0]) in model.data])
    del model.data[model.data_path(name)]


def _create_data(model: Model, chance: random.Random) -> None:
    files = [read for read in _readers(model) if read[1] not in LISTINGS]
    name, how = chance.choice([read for read in files if model.data_path(read[0]) not in model.data])
    model.data[model.data_path(name)] = data_text(how, model.fresh())


def _listed_file(model: Model, chance: random.Random) -> None:
    """Add a file to a folder that is listed, or delete one."""
    folder = model.data_path(chance.choice([name for name, how in _readers(model) if how in LISTINGS]))
    there = [path for path in model.data if path.startswith(f"{folder}/")]
    if len(there) > 1 and chance.random() < 0.5:
        del model.data[chance.choice(there)]
    else:
        model.data[f"{folder}/{model.fresh()}.txt"] = "listed\n"


def _new_data(model: Model, chance: random.Random) -> None:
    """Let a module read a new file, which comes with it."""
    reader = chance.choice([name for name in _ordinary(model) if name != model.entry])
    add_data(model, chance, chance.choice(READS), reader)


def _request_data(model: Model, _: random.Random) -> None:
    path = model.data_path("request.txt")
    if path not in model.data:
        raise IndexError
    model.data[path] = f"request {model.fresh()}\n"


def _stray_data(model: Model, _: random.Random) -> None:
    """Save a file that nobody reads."""
    model.data[model.data_path("stray.txt")] = f"stray {model.fresh()}\n"


def _link(model: Model, chance: random.Random) -> None:
    """Let a module's file be a link to a file that holds another value."""
    ordinary = [name for name in _ordinary(model) if name != model.entry and model.modules[name].package == "p0"]
    name = chance.choice(ordinary)
    model.linked[name] = f"{chance.choice(('elsewhere', model.packages['p0'].folder))}/{name}_file{model.fresh()}.py"
    model.modules[name].value = model.fresh()


def _unlink(model: Model, chance: random.Random) -> None:
    name = chance.choice(list(model.linked))
    del model.linked[name]
    model.modules[name].value = model.fresh()


def _fault(*kinds: str) -> Change:
    def change(model: Model, chance: random.Random) -> None:
        module = _one(model, chance)
        module.fault, module.value = chance.choice(kinds), model.fresh()

    return change


def _lifespan_fault(model: Model, _: random.Random) -> None:
    if not model.has_lifespan and model.framework != "asgi":
        raise IndexError
    model.modules[model.entry].fault = "lifespan"


def _repair(model: Model, _: random.Random) -> None:
    faulty = [module for module in model.modules.values() if module.fault]
    if not faulty:
        raise IndexError
    for module in faulty:
        module.fault = ""


def _several(model: Model, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 6)):
        chance.choice((_constant, _body, _add_import))(model, chance)


def _nothing(_: Model, __: random.Random) -> None:
    return


def _feature(model: Model, chance: random.Random) -> None:
    module = model.modules[chance.choice([name for name in _ordinary(model) if name != model.entry])]
    if "registry" in model.modules:
        module.features ^= {"registers"}
    elif model.framework == "fastapi":
        module.features ^= {"route"}
    else:
        raise IndexError


# How often, and what.
KINDS: Mapping[str, tuple[int, Change]] = {
    "constant": (14, _constant),
    "function body": (6, _body),
    "add import": (4, _add_import),
    "remove import": (3, _remove_import),
    "other import style": (3, _restyle_import),
    "new module": (5, _new_module),
    "remove module": (3, _remove_module),
    "delete imported file": (2, _remove_file),
    "rename module": (4, _rename_module),
    "rename package": (3, _rename_package),
    "replace folder": (3, _replace_folder),
    "add or remove __init__": (3, _toggle_init),
    "all __init__": (1, _all_inits),
    "collect in __init__": (2, _collect),
    "data": (9, _data),
    "delete data": (2, _delete_data),
    "create data": (4, _create_data),
    "listed file": (5, _listed_file),
    "read new data": (4, _new_data),
    "data per request": (2, _request_data),
    "stray data": (2, _stray_data),
    "link": (3, _link),
    "unlink": (2, _unlink),
    "syntax error": (3, _fault("syntax", "unfinished", "null")),
    "error at import": (5, _fault("name", "raise", "exit", "import", "attribute")),
    "error in lifespan": (2, _lifespan_fault),
    "repair": (1, _repair),
    "several": (4, _several),
    "burst": (4, _several),
    "touch": (2, _nothing),
    "save unchanged": (2, _nothing),
    "checkout": (4, _several),
    "stash": (2, _several),
    "route or registration": (3, _feature),
}
# After which the server as it is now is right, whatever it has prepared.
PLAIN_KINDS = (
    "constant", "function body", "add import", "new module", "error at import", "several", "touch", "save unchanged",
)  # fmt: skip
