"""Generators of numpy's, which seed themselves from the system unless they are told otherwise."""

from pathlib import Path

import pytest

from sample_project import Project
from test_proxies import HELD
from warmfork_server import Serve

# As numpy.random is built: what a generator was seeded with can be seen, its state can be set.
MODULE = """
import random
from secrets import randbits


class Seeds:
    def __init__(self, entropy=None):
        self.entropy = randbits(128) if entropy is None else entropy


class BitGenerator:
    def __init__(self, seed=None):
        self.seed_seq = Seeds(seed)
        self.draw = random.Random(self.seed_seq.entropy)

    state = property(lambda self: self.draw.getstate(), lambda self, state: self.draw.setstate(state))
"""


MADE = "from numpy.random.bit_generator import BitGenerator\n\nfree, given = BitGenerator(), BitGenerator(5)\n"


@pytest.fixture
def site(tiny: Project, tmp_path: Path) -> Path:
    """Return a folder of libraries; the application answers a number and what two generators of its version.py draw."""
    folder = tmp_path / "site-packages" / "numpy" / "random"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").write_text("def seed(): pass\n")
    (folder / "bit_generator.py").write_text(MODULE)
    tiny.replace("main.py", "import VERSION\n", "import VERSION, free, given\n")
    tiny.replace(
        "main.py",
        "str(VERSION))\n\n\nasync def process",
        "f'0{VERSION} {free.draw.random()} {given.draw.random()}')\n\n\nasync def process",
    )
    return tmp_path / "site-packages"


def test_generator_that_the_application_has_made(tiny: Project, site: Path, serve: Serve) -> None:
    """Each copy of a process that has made it draws other numbers, unless the seed was given."""
    tiny.append("version.py", MADE)
    server = serve(tiny, python_path=[site])
    answers = [server.text()]
    for number in range(1, 4):
        server.until_copy()
        tiny.replace("main.py", f"f'{number - 1}{{", f"f'{number}{{")
        server.until_reloads(number)
        answers.append(server.text())
    assert len(server.reports(r"\(swapped\)")) == 3
    assert len({answer.split()[1] for answer in answers}) == 4
    assert len({answer.split()[2] for answer in answers}) == 1


def test_generator_that_a_library_has_made(tiny: Project, site: Path, serve: Serve) -> None:
    """The same for what the parent imports, and each process inherits."""
    tiny.touch("imports")
    (site / "maker.py").write_text(f"{MADE}\nimport os\n\nprint(os.getpid(), file=open('imports', 'a'))\n")
    tiny.append("version.py", "from maker import free, given\n")
    server = serve(tiny, python_path=[site])
    imports = tiny.directory / "imports"
    server.until("the parent has imported it", lambda: str(server.pid) in imports.read_text().splitlines())
    answers = []
    for number in range(1, 4):
        tiny.replace("version.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        server.until_reloads(number)
        answers.append(server.text())
    assert len({answer.split()[1] for answer in answers}) == 3
    assert len({answer.split()[2] for answer in answers}) == 1


def test_proxy_is_not_asked_whether_it_is_a_generator(tiny: Project, site: Path, serve: Serve) -> None:
    tiny.write("held.py", HELD)
    tiny.append("version.py", f"{MADE}from tiny.held import proxy\n")
    server = serve(tiny, python_path=[site])
    for number in range(1, 3):
        server.until_copy()
        tiny.replace("main.py", f"f'{number - 1}{{", f"f'{number}{{")
        server.until_reloads(number)
        assert server.text().startswith(f"{number}0 ")
    assert len(server.reports(r"\(swapped\)")) == 2
