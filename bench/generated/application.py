"""An application of the shape of real ones, with as many modules as asked for, and edits of every kind to it.

Domains of ten modules: tables, schemas, repository, service, dependencies, routers that are included four deep. Half of
the folders have no `__init__.py`. Nearly every module imports two of `core`; a domain uses others. The same number and
the same seed make the same files.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from random import Random
from string import Template

from bench.generated import core_texts, domain_texts, route_texts
from bench.saves import Edit

SIZES = (10, 100, 350, 1_000, 3_000)
FIRST_REVISION = 1000

_CORE = {
    "__init__": "",
    "main": core_texts.MAIN,
    "core/constants": core_texts.CONSTANTS,
    "core/shared": core_texts.SHARED,
    "core/database": core_texts.DATABASE,
    "api/router": core_texts.INCLUDING,
}
# In an order in which a domain can be cut off anywhere.
_ROUTED = {
    "models": domain_texts.SQLMODEL,
    "schemas": domain_texts.SCHEMAS,
    "routes/read": route_texts.READ,
    "router": core_texts.INCLUDING,
    "errors": domain_texts.ERRORS,
    "repository": domain_texts.REPOSITORY,
    "service": domain_texts.SERVICE,
    "dependencies": route_texts.DEPENDENCIES,
    "routes/write": route_texts.WRITE,
    "policies": domain_texts.PLAIN,
}
_PLAIN = {
    "models": domain_texts.DECLARATIVE,
    **{name: _ROUTED[name] for name in ("schemas", "errors", "repository", "service", "policies")},
    **dict.fromkeys(("jobs", "events", "clients", "reports"), domain_texts.PLAIN),
}
_STEPS = ("policies", "jobs", "events", "clients", "reports")
# As many domains have routes, and of the others one in four: a public application of 355 modules has 256 routes.
_ROUTED_DOMAINS, _ROUTED_OF_OTHERS = 36, 4
_DOMAINS_OF_GROUP = 10
# Smaller ones include the routers of their domains without a router for each group.
_GROUPED = 100
# Other domains that a domain may use.
_RELATED = 2


class Kind(StrEnum):
    """What an edit changes."""

    LEAF = "body of a leaf"
    SHARED = "body that all import"
    ROUTE = "new route"
    SCHEMA = "changed schema"
    TABLE = "changed table"
    CONSTANT = "constant that all import"


# The module that is edited, of the domain that is asked unless it is one of `core`, and the line.
_EDITED: Mapping[Kind, tuple[str, str]] = {
    Kind.LEAF: ("routes/read", "    revisions = [{}]\n"),
    Kind.SHARED: ("core/shared", "    return {}\n"),
    Kind.ROUTE: ("routes/read", route_texts.ROUTES_BEGIN),
    Kind.SCHEMA: ("schemas", "    revisions: list[int] = [{}]\n"),
    Kind.TABLE: ("models", "    revision: int = Field(default={})\n"),
    Kind.CONSTANT: ("core/constants", "PAGE_SIZE = {}\n"),
}


class GeneratedApplication:
    """The package `app` in a folder; served as app.main:app."""

    def __init__(
        self, folder: Path, modules: int, *, seed: int = 1, lifespan: float = 0, imports: Sequence[str] = ()
    ) -> None:
        """Write that many modules, 10 or more. lifespan: seconds; imports: statements for the engine's module."""
        self.folder = folder
        self._package = folder / "app"
        self._revisions = dict.fromkeys(Kind, FIRST_REVISION)
        self._random = Random(seed)  # noqa: S311 - repeatable
        self._modules = list(_plan(modules))
        routed = [module.split("/")[1] for module in self._modules if module.endswith("/routes/read")]
        self._asked = routed[len(routed) // 2]
        for module in self._modules:
            path = self._path(module)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._text(module, lifespan, imports))

    @property
    def shown(self) -> dict[str, str]:
        """The version that each address shows once every edit is saved."""
        return {self.address(kind): str(revision) for kind, revision in self._revisions.items()}

    def address(self, kind: Kind) -> str:
        """Return the path of the answer by which edits of a kind are recognised, as a client sees them."""
        group = f"/{_group(self._asked)}" if f"api/{_group(self._asked)}" in self._modules else ""
        return f"/api{group}/{self._asked}/{kind.name.lower()}"

    @property
    def leaf_dependents(self) -> list[str]:
        """The names of the module that a new route changes and of those that must be executed again with it."""
        domain = f"domains/{self._asked}"
        above = (f"{domain}/routes/read", f"{domain}/router", f"api/{_group(self._asked)}", "api/router", "main")
        return [f"app.{module.replace('/', '.')}" for module in above if module in self._modules]

    def edit(self, kind: Kind) -> Edit:
        """Return the next edit of a kind; it must be saved before another one is asked for."""
        module, line = _EDITED[kind]
        path = self._path(module if module.startswith("core/") else f"domains/{self._asked}/{module}")
        before = self._revisions[kind]
        after = self._revisions[kind] = before + 1
        if kind is Kind.ROUTE:
            old, new = line, line + Template(route_texts.ADDED_ROUTE).substitute(number=after)
        else:
            old, new = line.format(before), line.format(after)
        return Edit(path, path.read_text().replace(old, new, 1), str(after))

    def _path(self, module: str) -> Path:
        return self._package / f"{module}.py"

    def _text(self, module: str, lifespan: float, imports: Sequence[str]) -> str:
        if module.endswith("__init__"):
            return ""
        if module.startswith("domains/"):
            return self._domain_text(module)
        values = {"lifespan": str(lifespan), "imports": "\n".join(imports)}
        if module == "main":
            values["imports"] = "\n".join(self._not_included())
        if module.startswith("api/"):
            values = {"name": module.removeprefix("api/").replace("router", "api"), **self._included(module)}
        return Template(_CORE.get(module, core_texts.INCLUDING)).substitute(values)

    def _domain_text(self, module: str) -> str:
        _, name, part = module.split("/", 2)
        template = (_ROUTED if _has_routes(name) else _PLAIN)[part]
        if part == "routes/read" and name == self._asked:
            template += route_texts.PROBES
        others = self._included(module) if part == "router" else self._related(name, part)
        return Template(template).substitute(name=name, title=name.title(), part=part.title(), **others)

    def _included(self, module: str) -> dict[str, str]:
        """Return what a router imports and includes: those of its folder's `routes`, of its group, or of all."""
        folder = module.rpartition("/")[0]
        routers = [one for one in self._modules if one.startswith("domains/") and one.endswith("/router")]
        if module.startswith("domains/"):
            children = [one for one in (f"{folder}/routes/read", f"{folder}/routes/write") if one in self._modules]
        elif module != "api/router":
            children = [one for one in routers if f"api/{_group(one.split('/')[1])}" == module]
        else:
            children = [one for one in self._modules if one.startswith("api/g")] or routers
        imports = "\n".join(
            f"from app.{child.replace('/', '.')} import router as router_{number}"
            for number, child in enumerate(children)
        )
        uses = "\n".join(f"router.include_router(router_{number})" for number in range(len(children)))
        return {"imports": imports, "uses": uses}

    def _not_included(self) -> Iterator[str]:
        """Yield imports of what no router leads to: domains without routes, and the last, which may be cut off."""
        last = self._modules[-1].split("/")[1]
        for number, module in enumerate(self._modules):
            folder, _, part = module.rpartition("/")
            if folder.startswith("domains/") and part != "__init__":
                name = folder.split("/")[1]
                if name == last or (part == "service" and not _has_routes(name)):
                    yield f"from app.{folder.replace('/', '.')} import {part} as loaded_{number}"

    def _related(self, name: str, part: str) -> dict[str, str]:
        """Return what a module imports of other domains' modules of the same part, and how it uses that."""
        earlier = range(_number(name))
        others = [f"d{other:03}" for other in self._random.sample(earlier, min(_RELATED, len(earlier)))]
        if part == "service":
            steps = [step for step in _STEPS if f"domains/{name}/{step}" in self._modules]
            imports = [f"from app.domains.{other}.service import {other.title()}Service" for other in others]
            imports += [f"from app.domains.{name}.{step} import USUAL as {step}" for step in steps]
            uses = "".join(f"{used}, " for used in (*(f"{other.title()}Service" for other in others), *steps))
            return {"imports": "\n".join(imports), "uses": uses}
        if part == "schemas" and others:
            imports = [f"from app.domains.{other}.schemas import {other.title()}Read" for other in others]
            fields = [f"    {other}: list[{other.title()}Read] = []" for other in others]
            return {"imports": "\n".join(imports), "uses": domain_texts.RELATED + "\n".join(fields)}
        return {"imports": "", "uses": ""}


def _plan(modules: int) -> Iterator[str]:
    """Yield the paths of that many modules, relative to the package and without their suffix."""
    paths = [*_CORE]
    number = 0
    while len(paths) < modules:
        name = f"d{number:03}"
        if modules >= _GROUPED and not number % _DOMAINS_OF_GROUP:
            paths.append(f"api/{_group(name)}")
        parts = [*(["__init__"] if number % 2 else []), *(_ROUTED if _has_routes(name) else _PLAIN)]
        paths += [f"domains/{name}/{part}" for part in parts]
        number += 1
    yield from paths[:modules]


def _number(domain: str) -> int:
    return int(domain[1:])


def _has_routes(domain: str) -> bool:
    number = _number(domain)
    return number < _ROUTED_DOMAINS or not number % _ROUTED_OF_OTHERS


def _group(domain: str) -> str:
    return f"g{_number(domain) // _DOMAINS_OF_GROUP:02}"
