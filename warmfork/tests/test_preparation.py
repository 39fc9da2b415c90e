"""What is made ready for the next change: processes that stand by for the files edited last, and stay of use."""

import re
import time

import pytest

from sample_project import Project
from warmfork_server import Serve, Server

MAIN = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tiny import {modules}

MODULES = ({modules},)


async def answer(_):
    return PlainTextResponse(" ".join(f"{{one.VALUE}}{{one.answer()}}" for one in MODULES))


app = Starlette(routes=[Route("/", answer)])
"""
MODULE = """
import os

with open("executed", "a") as file:
    file.write(f"{__name__.rpartition('.')[2]} {os.getpid()}\\n")

VALUE = 0


def answer():
    return "a"
"""
LETTERS = "xyz"


@pytest.fixture
def project(tiny: Project) -> Project:
    """Return a project of three modules that know nothing of each other."""
    tiny.write("main.py", MAIN.format(modules=", ".join(LETTERS)))
    for letter in LETTERS:
        tiny.write(f"{letter}.py", MODULE)
    return tiny


def executed(project: Project) -> list[str]:
    """Return which modules were executed, each with the id of the process."""
    return (project.directory / "executed").read_text().splitlines()


def until_ready(server: Server, project: Project, edited: list[str], older: set[int]) -> None:
    """Return as soon as a process stands by for each file, and none of the older ones that has executed the last."""

    def is_ready() -> bool:
        standbys, lines = server.titled("standby"), executed(project)
        waited_for = [one for one in edited if any(f"{one} {pid}" not in lines for pid in standbys)]
        outdated = [pid for pid in standbys if pid in older and f"{edited[-1]} {pid}" in lines]
        return waited_for == edited and not outdated

    server.until("processes stand by for the next edit", is_ready)


def save_thrice(server: Server, project: Project, file: str) -> float:
    """Change the file's value three times, each once a process stands by; return the time of the last save."""
    saved_at = 0.0
    for number in range(1, 4):
        server.until_standby()
        saved_at = time.monotonic()
        project.replace(file, f"VALUE = {number - 1}", f"VALUE = {number}")
        server.until_reloads(number)
    return saved_at


def ways(server: Server) -> list[str]:
    """Return the way of each reload."""
    return [re.sub(r"^.* ms \((\w+).*$", r"\1", line) for line in server.reports("reloaded in")]


def test_files_edited_last_are_waited_for(project: Project, serve: Serve) -> None:
    server = serve(project, "--no-swap")
    server.until_standby()
    edited: list[str] = []
    for number, letter in enumerate("xyxyyxx", 1):
        older = {process.pid for process in server.processes()}
        project.replace(f"{letter}.py", "VALUE = ", "VALUE = 1")
        server.until_reloads(number)
        edited = [*(one for one in edited if one != letter), letter]
        until_ready(server, project, edited, older)
    # The first edit of each file, and no other, finds a process that has executed it.
    assert ways(server)[2:] == ["standby"] * 5
    assert server.text() == "11110a 1110a 0a"


def test_swaps_leave_what_stands_by_of_use(project: Project, serve: Serve) -> None:
    server = serve(project)
    server.until_copy()
    project.replace("x.py", "VALUE = 0", "VALUE = 1")
    server.until_reloads(1)
    server.until_copy()
    server.until_standby()
    for number, (before, after) in enumerate((("a", "b"), ("b", "c")), 2):
        # What stands by for x has executed y.
        project.replace("y.py", f'return "{before}"', f'return "{after}"')
        server.until_reloads(number)
        server.until_copy()
    project.replace("x.py", "VALUE = 1", "VALUE = 2")
    server.until_reloads(4)
    assert server.text() == "2a 0c 0a"
    assert ways(server)[1:] == ["swapped", "swapped", "standby"]


def test_lifespan_is_reported_apart(tiny: Project, serve: Serve) -> None:
    tiny.append(
        "main.py",
        """
import time
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(_):
    time.sleep(0.05)
    yield

app.router.lifespan_context = lifespan
""",
    )
    server = serve(tiny)
    tiny.replace("version.py", "0", "1")
    server.until_reloads(1)
    for line in (*server.reports("^serving"), *server.reports("reloaded in")):
        total, lifespan = map(int, re.findall(r" (\d+) ms", line))
        assert total >= lifespan >= 50
    assert server.status()["lifespan_seconds"] >= 0.05


IN_PACKAGE = """
import sys

from tiny.package.other import VALUE as OTHER

package = sys.modules["tiny.package"]
VERSION = f"{package.VALUE} {package.edited.VALUE} {package.other.VALUE} {OTHER}"
"""


def test_package_is_executed_before_a_module_in_it_is_imported(tiny: Project, serve: Serve) -> None:
    """Also where nobody asks for the package itself, and the module was executed ahead."""
    tiny.path("package").mkdir()
    tiny.write("package/__init__.py", "from tiny.package import edited\n" + MODULE)
    tiny.write("package/edited.py", MODULE)
    tiny.write("package/other.py", MODULE)
    tiny.write("version.py", IN_PACKAGE)
    server = serve(tiny)
    server.until_text("0 0 0 0")
    for number in range(1, 4):
        server.until_standby()
        tiny.replace("package/edited.py", f"VALUE = {number - 1}", f"VALUE = {number}")
        server.until_text(f"0 {number} 0 0")


@pytest.mark.parametrize(
    "instead",
    ("def later():\n    from tiny import x", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from tiny import x"),
)
def test_module_that_is_imported_no_more_is_not_there(tiny: Project, serve: Serve, instead: str) -> None:
    """It may have been imported ahead of the edit."""
    text = "import sys\n\nfrom tiny import x\n\nVERSION = {} + ('tiny.x' in sys.modules)\n"
    tiny.write("x.py", MODULE)
    tiny.write("version.py", text.format(10))
    server = serve(tiny)
    assert server.text() == "11"
    for number in (20, 30):
        server.until_standby()
        tiny.write("version.py", text.format(number))
        server.until_text(str(number + 1))
    server.until_standby()
    tiny.write("version.py", text.format(40).replace("from tiny import x", instead))
    server.until_text("40")


COLLECTING = """
from tiny.package.edited import VALUE as EDITED
from tiny.package.other import EXECUTED_AT
"""
TIMED = """
import time

from tiny.package.base import BASE

EXECUTED_AT = time.monotonic()
VALUE = 0
"""


def test_modules_of_a_package_that_imports_all_of_them_do_not_wait_for_each_other(tiny: Project, serve: Serve) -> None:
    tiny.path("package").mkdir()
    tiny.write("package/__init__.py", COLLECTING)
    tiny.write("package/base.py", "BASE = 0\n")
    tiny.write("package/edited.py", TIMED)
    tiny.write("package/other.py", TIMED)
    tiny.write("version.py", 'from tiny.package import EDITED, EXECUTED_AT\n\nVERSION = f"{EDITED} {EXECUTED_AT}"\n')
    server = serve(tiny, "--no-swap")
    saved_at = save_thrice(server, tiny, "package/edited.py")
    assert server.text().startswith("3 ")
    assert float(server.text().split()[1]) < saved_at
    assert ways(server)[-1] == "standby"


NESTED = """
import time

from tiny.package.inner.base import BASE

EXECUTED_AT = time.monotonic()
"""


def test_package_in_a_package_that_waits(tiny: Project, serve: Serve) -> None:
    tiny.path("package/inner").mkdir(parents=True)
    tiny.write("package/__init__.py", "from tiny.package.inner import EDITED, EXECUTED_AT\n")
    tiny.write("package/inner/__init__.py", COLLECTING.replace("package", "package.inner"))
    tiny.write("package/inner/base.py", "BASE = 0\n")
    tiny.write("package/inner/edited.py", "VALUE = 0\n")
    tiny.write("package/inner/other.py", NESTED)
    tiny.write(
        "version.py",
        """
import tiny.package.inner.other

VERSION = f"{tiny.package.EDITED} {tiny.package.inner.other.EXECUTED_AT} {tiny.package.inner.EXECUTED_AT}"
""",
    )
    server = serve(tiny, "--no-swap")
    saved_at = save_thrice(server, tiny, "package/inner/edited.py")
    version, one, same = server.text().split()
    assert (version, one) == ("3", same)
    assert float(one) < saved_at
    assert ways(server)[-1] == "standby"


def test_module_that_looks_into_its_package_is_executed_after_it(tiny: Project, serve: Serve) -> None:
    tiny.path("package").mkdir()
    tiny.write("package/__init__.py", "from tiny.package.edited import VALUE\nfrom tiny.package import other\n")
    tiny.write("package/edited.py", "VALUE = 0\n")
    tiny.write("package/other.py", "import sys\n\nSEEN = getattr(sys.modules[__package__], 'VALUE', 'nothing')\n")
    tiny.write("version.py", "from tiny.package.other import SEEN\n\nVERSION = SEEN\n")
    server = serve(tiny, "--no-swap")
    for number in range(1, 4):
        tiny.replace("package/edited.py", f"VALUE = {number - 1}", f"VALUE = {number}")
        server.until_text(str(number))


TAKER = """
import time

from tiny.package import EXECUTED_AT as OTHER_EXECUTED_AT

EXECUTED_AT = time.monotonic()
"""


def package_with_taker(project: Project) -> None:
    """Let a package take something from two modules, and a module outside take from it what the second one has."""
    project.path("package").mkdir()
    project.write("package/__init__.py", COLLECTING)
    project.write("package/base.py", "BASE = 0\n")
    project.write("package/edited.py", "VALUE = 0\n")
    project.write("package/other.py", TIMED)
    project.write("taker.py", TAKER)
    project.write(
        "version.py",
        """
from tiny import taker
from tiny.package import EDITED, EXECUTED_AT

VERSION = f"{EDITED} {taker.EXECUTED_AT} {taker.OTHER_EXECUTED_AT} {EXECUTED_AT}"
""",
    )


def test_module_that_takes_a_name_from_a_package_does_not_wait_for_others(tiny: Project, serve: Serve) -> None:
    """Also where it is the first to import the package."""
    package_with_taker(tiny)
    server = serve(tiny, "--no-swap")
    saved_at = save_thrice(server, tiny, "package/edited.py")
    version, taken_at, one, same = server.text().split()
    assert (version, one) == ("3", same)
    assert float(taken_at) < saved_at
    assert float(one) < saved_at
    assert ways(server)[-1] == "standby"


def test_name_that_a_package_gives_otherwise_than_its_imports_say(tiny: Project, serve: Serve) -> None:
    package_with_taker(tiny)
    tiny.write("package/__init__.py", COLLECTING + "\nEXECUTED_AT = EDITED\n")
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/edited.py")
    version, _, one, same = server.text().split()
    assert version == one == same == "3"
    # Found out once.
    assert ways(server)[-1] == "standby"
    assert len(server.reports("importing everything")) == 1


@pytest.mark.parametrize(
    "need",
    (
        "import sys\n\nassert 'tiny.package.edited' in sys.modules\n",
        "import sys\n\nassert getattr(sys.modules['tiny.package'], 'EDITED', None) is not None\n",
    ),
    ids=("fails", "is spoilt"),
)
def test_module_that_needs_all_of_a_package_in_a_way_that_no_statement_shows(
    tiny: Project, serve: Serve, need: str
) -> None:
    package_with_taker(tiny)
    tiny.write("taker.py", TAKER + need)
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/edited.py")
    assert server.text().startswith("3 ")
    assert ways(server)[-1] == "standby"


def test_name_that_is_taken_before_the_package_has_it(tiny: Project, serve: Serve) -> None:
    package_with_taker(tiny)
    tiny.replace("version.py", "from tiny import taker\n", "from tiny import package, taker\n")
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/edited.py")
    server.until_standby()
    tiny.write("package/edited.py", "from tiny import taker\n\nVALUE = 4\n")
    server.until("it fails as in a fresh process", lambda: "'EXECUTED_AT' from partially init" in server.log)
    assert server.text().startswith("3 ")


@pytest.mark.parametrize(
    "action",
    ("for one in [Thing]:\n    one.seen = EDITED\n", "[setattr(one, 'seen', EDITED) for one in [Thing]]\n"),
    ids=("loop", "comprehension"),
)
@pytest.mark.parametrize("place", ("tiny.package", "tiny.package.other"))
def test_what_a_package_does_in_the_end_is_seen_by_who_imports_something_of_it(
    tiny: Project, serve: Serve, action: str, place: str
) -> None:
    tiny.path("package").mkdir()
    tiny.write(
        "package/__init__.py",
        f"from tiny.package.edited import VALUE as EDITED\nfrom tiny.package.other import Thing\n\n{action}",
    )
    tiny.write("package/edited.py", "VALUE = 0\n")
    tiny.write("package/other.py", "class Thing:\n    seen = 'nothing'\n")
    tiny.write("version.py", f"from {place} import Thing\n\nSEEN = Thing.seen\nVERSION = SEEN\n")
    tiny.write("main.py", tiny.path("main.py").read_text().replace("from tiny.version", "from tiny.between"))
    tiny.write("between.py", "from tiny.package import EDITED\nfrom tiny.version import VERSION\n")
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/edited.py")
    assert server.text() == "3"


def test_what_a_package_does_since_its_last_edit_is_seen_by_who_takes_something_from_it(
    tiny: Project, serve: Serve
) -> None:
    collecting = "from tiny.package.thing import Thing\n"
    tiny.path("package").mkdir()
    tiny.write("package/__init__.py", f"{collecting}VALUE = 0\n")
    tiny.write(
        "package/thing.py",
        "class Thing:\n    seen = 0\n\n    @classmethod\n    def set_up(cls, value):\n        cls.seen = value\n",
    )
    tiny.write("version.py", "from tiny.package import Thing\n\nVERSION = Thing.seen\n")
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/__init__.py")
    server.until_standby()
    tiny.write("package/__init__.py", f"{collecting}VALUE = Thing.set_up(4)\n")
    server.until_text("4")


ATTRIBUTES = """
import time

from tiny import package

EXECUTED_AT = time.monotonic()
OTHER_EXECUTED_AT = package.EXECUTED_AT
"""


def test_module_that_uses_attributes_of_a_package_does_not_wait_for_others(tiny: Project, serve: Serve) -> None:
    package_with_taker(tiny)
    tiny.write("taker.py", ATTRIBUTES)
    server = serve(tiny, "--no-swap")
    saved_at = save_thrice(server, tiny, "package/edited.py")
    version, taken_at, one, same = server.text().split()
    assert (version, one) == ("3", same)
    assert float(taken_at) < saved_at
    assert ways(server)[-1] == "standby"


@pytest.mark.parametrize(
    "counting",
    (
        "COUNT = len(Base.__subclasses__())",
        "COUNT = 0\nfor one in Base.all():\n    COUNT += 1",
        "COUNT = len([one for one in Base.all()])",
    ),
    ids=("subclasses", "loop", "comprehension"),
)
@pytest.mark.parametrize(
    "importing",
    ("from tiny.package import Base", "from tiny import package\nBase = package.Base"),
    ids=("name", "attribute"),
)
def test_module_that_looks_at_all_that_a_package_has_registered(
    tiny: Project, serve: Serve, importing: str, counting: str
) -> None:
    tiny.path("package").mkdir()
    tiny.write("package/__init__.py", "from tiny.package.base import Base\nfrom tiny.package.edited import VALUE\n")
    tiny.write(
        "package/base.py",
        "class Base:\n    @classmethod\n    def all(cls):\n        return cls.__subclasses__()\n",
    )
    tiny.write(
        "package/edited.py", "from tiny.package.base import Base\n\nVALUE = 0\n\n\nclass Edited(Base):\n    pass\n"
    )
    tiny.write("taker.py", f"{importing}\n\n{counting}\n")
    tiny.write(
        "version.py", 'from tiny import taker\nfrom tiny.package import VALUE\n\nVERSION = f"{VALUE} {taker.COUNT}"\n'
    )
    server = serve(tiny, "--no-swap")
    save_thrice(server, tiny, "package/edited.py")
    assert server.text() == "3 1"


def test_module_in_a_package_that_finds_its_importer_half_executed(tiny: Project, serve: Serve) -> None:
    package_with_taker(tiny)
    tiny.write("package/__init__.py", COLLECTING + "from tiny.package.late import SEEN\n")
    # Not by a statement that shows it.
    late = "import importlib\n\nfrom tiny.package.edited import VALUE\n\n"
    tiny.write("package/late.py", f"{late}SEEN = importlib.import_module('tiny.' + 'taker').STATE\n")
    tiny.write("taker.py", "STATE = 'begun'\n\nfrom tiny.package.other import EXECUTED_AT\n\nSTATE = 'done'\n")
    tiny.write(
        "version.py", 'from tiny import taker\nfrom tiny.package import EDITED, SEEN\n\nVERSION = f"{EDITED} {SEEN}"\n'
    )
    server = serve(tiny, "--no-swap")
    assert server.text() == "0 begun"
    save_thrice(server, tiny, "package/edited.py")
    assert server.text() == "3 begun"


def test_package_that_gives_a_function_the_name_of_its_module(tiny: Project, serve: Serve) -> None:
    """As `from .settings import settings` does, and that module takes something from a package that waits."""
    package_with_taker(tiny)
    tiny.path("tools").mkdir()
    tiny.write("tools/__init__.py", "from tiny.tools.tool import tool\n")
    tiny.write("tools/tool.py", f"{TAKER}\n\ndef tool():\n    return EXECUTED_AT\n")
    tiny.write(
        "version.py",
        'from tiny.package import EDITED\nfrom tiny.tools import tool\n\nVERSION = f"{EDITED} {tool()}"\n',
    )
    server = serve(tiny, "--no-swap")
    saved_at = save_thrice(server, tiny, "package/edited.py")
    version, executed_at = server.text().split()
    assert version == "3"
    assert float(executed_at) < saved_at
    assert ways(server)[-1] == "standby"
