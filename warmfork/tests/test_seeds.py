"""Generators of numpy's, which seed themselves from the system unless they are told otherwise."""

from pathlib import Path

from sample_project import Project
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


def test_generator_that_the_application_has_made(tiny: Project, tmp_path: Path, serve: Serve) -> None:
    """Each copy of a process that has made it draws other numbers, unless the seed was given."""
    folder = tmp_path / "site-packages" / "numpy" / "random"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").write_text("def seed(): pass\n")
    (folder / "bit_generator.py").write_text(MODULE)
    tiny.append(
        "version.py",
        "from numpy.random.bit_generator import BitGenerator\n\nfree, given = BitGenerator(), BitGenerator(5)\n",
    )
    tiny.replace("main.py", "import VERSION\n", "import VERSION, free, given\n")
    tiny.replace(
        "main.py",
        "str(VERSION))\n\n\nasync def process",
        "f'0 {free.draw.random()} {given.draw.random()}')\n\n\nasync def process",
    )
    server = serve(tiny, python_path=[tmp_path / "site-packages"])
    answers = [server.text()]
    for number in range(1, 4):
        server.until_copy()
        tiny.replace("main.py", f"f'{number - 1} ", f"f'{number} ")
        server.until_reloads(number)
        answers.append(server.text())
    assert len(server.reports(r"\(swapped\)")) == 3
    assert len({answer.split()[1] for answer in answers}) == 4
    assert len({answer.split()[2] for answer in answers}) == 1
