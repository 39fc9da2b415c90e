"""What an application is made of, and its files. An edit changes this, and what differs in the files is saved."""

from dataclasses import dataclass, field

from differential.case import Layout, Link, Tree
from differential.entry_text import entry_text
from differential.texts import module_text, package_text


@dataclass
class Package:
    """A folder of modules: where it lies and its dotted name, which is empty for top-level modules."""

    folder: str
    name: str
    has_init: bool = True
    is_plugins: bool = False
    # Whether its __init__ imports the values of all modules in it.
    is_collecting: bool = False


@dataclass
class Import:
    """An import of another module: its name, and a key of import_texts.STYLES."""

    target: str
    style: str
    # A second name of the same module.
    prefix: str = ""


@dataclass
class Data:
    """Something that a module reads as it is imported: a key of texts.READS."""

    name: str
    how: str


@dataclass
class Module:
    """A module, whose name is the only one of its kind in the application."""

    package: str
    value: int
    imports: list[Import] = field(default_factory=list)
    reads: list[Data] = field(default_factory=list)
    # Keys of texts.FEATURES.
    features: set[str] = field(default_factory=set)
    body: int = 0
    # A key of texts.FAULTS.
    fault: str = ""


@dataclass
class Model:
    """An application."""

    layout: Layout
    framework: str
    packages: dict[str, Package]
    # By name; the entry is the last one.
    modules: dict[str, Module] = field(default_factory=dict)
    entry: str = "main"
    has_lifespan: bool = False
    data: Tree = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    # Modules that lie elsewhere, and a link stands in their place.
    linked: dict[str, str] = field(default_factory=dict)
    # The module that was edited last: people edit one again and again.
    latest: str = ""
    next_number: int = 0

    def fresh(self) -> int:
        """Return a number that was not there before."""
        self.next_number += 1
        return self.next_number

    def dotted(self, name: str) -> str:
        """Return the full name of a module."""
        package = self.packages[self.modules[name].package]
        if name == self.entry and self.entry_is_package:
            return package.name
        return f"{package.name}.{name}" if package.name else name

    @property
    def entry_is_package(self) -> bool:
        return ".main:" not in self.layout.application and not self.layout.application.startswith("main:")

    def path(self, name: str) -> str:
        """Return the path of a module's file."""
        folder = self.packages[self.modules[name].package].folder
        file = "__init__" if name == self.entry and self.entry_is_package else name
        return f"{folder}/{file}.py".removeprefix("./")

    def data_path(self, name: str) -> str:
        """Return the path of what is read under the name, below the root."""
        if name == ".env":
            return f"{self.layout.directory}/.env".removeprefix("./")
        folder = self.packages[self.modules[self.entry].package].folder
        return f"{folder}/data/{name}".removeprefix("./")

    def collected(self, key: str) -> list[str]:
        """Return the modules whose values the package that they are in has as well."""
        package = self.packages[key]
        if not (package.has_init and package.is_collecting):
            return []
        other = {self.entry, "hub", "registry"}
        return [name for name, module in self.modules.items() if module.package == key and name not in other]

    def importers(self, name: str) -> list[tuple[Module, Import]]:
        """Return who imports the module, and how."""
        return [(module, one) for module in self.modules.values() for one in module.imports if one.target == name]

    def render(self) -> Tree:
        """Return all files."""
        files: Tree = dict(self.data)
        for key, package in self.packages.items():
            is_entry = self.entry_is_package and key == self.modules[self.entry].package
            if package.has_init and package.name and not is_entry:
                files[f"{package.folder}/__init__.py"] = package_text(self, key)
        for name in self.modules:
            text = entry_text(self) if name == self.entry else module_text(self, name)
            path = self.path(name)
            if name in self.linked:
                files[self.linked[name]] = text
                ups = "../" * path.count("/")
                files[path] = Link(f"{ups}{self.linked[name]}")
            else:
                files[path] = text
        files |= {path: Link(target) for path, target in self.links.items()}
        return files
