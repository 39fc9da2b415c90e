"""Somebody who edits the backend in the ways of people and their tools, and what each replica must then answer."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple, Self

from app.version import source_digest
from bench.folder_probe import folder_digest
from bench.saves import save_atomically, save_in_place

# What is asked, and the folder that the probe compares.
PATH, FOLDER = "/parts", "/app/app"
PACKAGES = ("alpha", "beta", "gamma")
# Modules in a package.
FEWEST, MOST = 4, 9
# Seconds between the halves of a file that is saved slowly.
PAUSE = 0.05
# Comments above a value; the longest are some ten kilobytes.
MOST_LINES = 200
LINE = "# What a module has to say before it comes to its value.\n"
VALUE = re.compile(r"^VALUE = (\d+)$", re.MULTILINE)
BROKEN = ("VALUE = = {}\n", "VALUE = missing_{}\n", "from app.parts import missing_{}\n", "raise RuntimeError({})\n")
ROUTER = """
VALUES = {{{values}}}
router = APIRouter()


@router.get("{path}")
async def parts(request: Request) -> dict[str, Any]:
    return {{"code": request.app.state.version.code, "values": VALUES}}
"""


type Kinds = Mapping[str, Callable[[Developer], None]]


class Expected(NamedTuple):
    """What every replica must hold and answer. files: see folder_digest()."""

    files: str
    answer: dict[str, object]


class Developer:
    """Edits a package of its own, of which each module's value stands in every answer."""

    def __init__(self, checkout: Path, random: Random) -> None:
        """Prepare to edit a copy of the checkout."""
        self._checkout = checkout
        self._app = checkout / "backend" / "app"
        self._parts = self._app / "parts"
        # Where folders are while they are away: nobody watches that.
        self._away = checkout / ".devenv" / "away"
        self._random = random
        self._number = 0

    @classmethod
    @contextmanager
    def at_work(cls, checkout: Path, random: Random) -> Iterator[Self]:
        """Add the package to the application; take it away at the end."""
        developer = cls(checkout, random)
        main = checkout / "backend" / "app" / "main.py"
        before = main.read_text()
        try:
            developer._begin(main)
            yield developer
        finally:
            main.write_text(before)
            for folder in (developer._parts, developer._away, checkout / ".git"):
                shutil.rmtree(folder, ignore_errors=True)

    def expected(self) -> Expected:
        """Return what the files that are here make."""
        values = {
            package.name: {path.stem: int(VALUE.findall(path.read_text())[-1]) for path in _modules(package)}
            for package in self._packages()
        }
        return Expected(folder_digest(str(self._app)), {"code": source_digest(self._app), "values": values})

    def edit(self, kind: str) -> None:
        """Do something of KINDS; only the state in which it ends, when this returns, is meant."""
        KINDS[kind](self)

    # --- what may be torn, or fail for a moment

    def _slow_saves(self) -> None:
        """Several files, written in place in halves, one after another or at the same time."""
        paths = self._some(3)
        for group in [paths] if self._random.random() < 0.5 else [[path] for path in paths]:
            self._save_slowly(group)

    def _folders_replaced(self) -> None:
        """Folders are renamed away, and others with modules of other names come into their place."""
        for package in self._random.sample(self._packages(), self._random.randint(1, 2)):
            other = self._away / package.name
            shutil.rmtree(other, ignore_errors=True)
            self._fill(other)
            package.rename(self._away / "leaving")
            other.rename(package)
            (self._away / "leaving").rename(other)
            if self._random.random() < 0.5:
                self._save_slowly([self._random.choice(_modules(package))])

    def _many_saves(self) -> None:
        """Every module at once."""
        for path in self._some(1000):
            self._save(path)

    # --- the rest of a day

    def _save_once(self) -> None:
        self._save(*self._some(1))

    def _saves_in_a_burst(self) -> None:
        (path,) = self._some(1)
        for _ in range(self._random.randint(5, 15)):
            self._save(path)
            time.sleep(0.06 * self._random.random())

    def _error_and_repair(self) -> None:
        (path,) = self._some(1)
        path.write_text(self._random.choice(BROKEN).format(self._next()))
        time.sleep(self._random.random())
        self._save(path)

    def _new_module(self) -> None:
        package = self._random.choice(self._packages())
        self._save(package / f"m{self._next()}.py")
        _write_index(package)

    def _module_renamed(self) -> None:
        """Within its package, or into another one."""
        (path,) = self._some(1)
        package = self._random.choice(self._packages())
        path.rename(package / f"m{self._next()}.py")
        for changed in {path.parent, package}:
            _write_index(changed)

    def _module_deleted(self) -> None:
        package = max(self._packages(), key=lambda package: len(_modules(package)))
        self._random.choice(_modules(package)).unlink()
        _write_index(package)

    def _folder_renamed(self) -> None:
        package = self._random.choice(self._packages())
        package.rename(package.with_name(f"{package.name.partition('_')[0]}_{self._next()}"))
        self._write_package_index()

    def _branch_switched(self) -> None:
        """What is there is committed, and git brings what the other branch has: other modules in all packages."""
        if not (self._checkout / ".git").exists():
            self._git("init", "--quiet", "--initial-branch", "main")
        self._commit()
        branch = self._git("branch", "--show-current").strip()
        other = "main" if branch == "other" else "other"
        if other not in self._git("branch", "--list", "--format", "%(refname:short)").split():
            self._many_saves()
            self._commit()
            self._git("branch", other)
            self._many_saves()
            self._commit()
        self._git("switch", "--quiet", other)

    # --- files

    def _begin(self, main: Path) -> None:
        for name in PACKAGES:
            self._fill(self._parts / name)
        self._write_package_index()
        self._away.mkdir(parents=True, exist_ok=True)
        # At the end, where a formatter would not have it, but every other edit of the file goes on to work.
        main.write_text(f"{main.read_text()}\nfrom app import parts\n\napp.include_router(parts.router)\n")

    def _packages(self) -> list[Path]:
        return sorted(path.parent for path in self._parts.glob("*/__init__.py"))

    def _some(self, most: int) -> list[Path]:
        """Return as many modules, of all packages."""
        modules = [path for package in self._packages() for path in _modules(package)]
        return self._random.sample(modules, min(most, len(modules)))

    def _fill(self, package: Path) -> None:
        package.mkdir(parents=True)
        for _ in range(self._random.randint(FEWEST, MOST)):
            (package / f"m{self._next()}.py").write_text(self._text())
        _write_index(package)

    def _text(self) -> str:
        return LINE * self._random.randrange(MOST_LINES) + f"VALUE = {self._next()}\n"

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _save(self, path: Path) -> None:
        self._random.choice((save_atomically, save_in_place))(path, self._text())

    def _save_slowly(self, paths: Sequence[Path]) -> None:
        texts = [self._text() for _ in paths]
        # Mostly in the last line, of which any beginning may be valid Python with another value.
        cuts = [self._random.randrange(max(len(text) - 40, 0), len(text)) for text in texts]
        files = [path.open("w") for path in paths]
        for file, text, cut in zip(files, texts, cuts, strict=True):
            file.write(text[:cut])
            file.flush()
        time.sleep(PAUSE)
        for file, text, cut in zip(files, texts, cuts, strict=True):
            file.write(text[cut:])
            file.close()

    def _write_package_index(self) -> None:
        names = [package.name for package in self._packages()]
        imports = f"from typing import Any\n\nfrom fastapi import APIRouter, Request\n\n{_imports('app.parts', names)}"
        values = ", ".join(f'"{name}": {name}.VALUES' for name in names)
        (self._parts / "__init__.py").write_text(imports + ROUTER.format(values=values, path=PATH))

    def _commit(self) -> None:
        self._git("add", "backend/app")
        self._git("commit", "--quiet", "--allow-empty", "--message", "work")

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self._checkout, check=True, capture_output=True, text=True).stdout


# Those that once left a replica behind.
FOLDERS_AND_SLOW_SAVES: Kinds = {
    "slow saves": Developer._slow_saves,
    "folders replaced": Developer._folders_replaced,
    "many saves": Developer._many_saves,
}
KINDS: Kinds = {
    **FOLDERS_AND_SLOW_SAVES,
    "save": Developer._save_once,
    "burst": Developer._saves_in_a_burst,
    "error and repair": Developer._error_and_repair,
    "new module": Developer._new_module,
    "module renamed": Developer._module_renamed,
    "module deleted": Developer._module_deleted,
    "folder renamed": Developer._folder_renamed,
    "branch switched": Developer._branch_switched,
}


def _modules(package: Path) -> list[Path]:
    return sorted(package.glob("m*.py"))


def _write_index(package: Path) -> None:
    """Have the package import all of its modules by name."""
    names = [path.stem for path in _modules(package)]
    # Relative, for the package may get another name.
    values = ", ".join(f'"{name}": {name}.VALUE' for name in names)
    (package / "__init__.py").write_text(f"{_imports('.', names)}\nVALUES = {{{values}}}\n")


def _imports(package: str, names: Sequence[str]) -> str:
    return f"from {package} import {', '.join(names)}\n" if names else ""
