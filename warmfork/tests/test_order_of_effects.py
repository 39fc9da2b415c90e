"""What the entry does between its imports: modules that it imports after that have seen it, in every reload."""

import pytest

from sample_project import Project
from warmfork_server import Serve

# What the entry does, and what a module makes of it that is imported later.
EFFECTS = {
    "directory": ("import os\n\nos.chdir('tiny')\n", "import os\n\nVALUE = os.path.exists('main.py')\n", "True"),
    "library": ("import json\n\njson.MODE = 'set'\n", "import json\n\nVALUE = getattr(json, 'MODE', 'unset')\n", "set"),
    "context": (
        "import decimal\n\ndecimal.getcontext().prec = 3\n",
        "import decimal\n\nVALUE = decimal.Decimal(1) / 3\n",
        "0.333",
    ),
    "own": (
        "import tiny.options\n\ntiny.options.MODE = 'set'\n",
        "from tiny.options import MODE\n\nVALUE = MODE\n",
        "set",
    ),
    "function": (
        "import json\n\n\ndef set_up():\n    json.MODE = 'set'\n\n\nset_up()\n",
        "import json\n\nVALUE = getattr(json, 'MODE', 'unset')\n",
        "set",
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effect_of_the_entry(name: str, tiny: Project, serve: Serve) -> None:
    acting, seeing, value = EFFECTS[name]
    tiny.write("options.py", "MODE = 'unset'\n")
    tiny.write("seeing.py", seeing)
    # Not by the entry itself.
    tiny.write("version.py", "from tiny.seeing import VALUE as VERSION\n")
    text = acting + tiny.path("main.py").read_text()
    tiny.write("main.py", text)
    server = serve(tiny)
    assert server.text() == value
    for number in range(1, 4):
        server.until_standby()
        tiny.write("main.py", f"{text}\nNUMBER = {number}\n")
        server.until_reloads(number)
        assert server.text() == value


# What a module changes, and what another one makes of it that is imported later and imports neither it nor the entry.
OTHERS = {
    "assignment": (
        "from tiny import options\n\noptions.MODE = 'set 0'\n",
        "from tiny import options\n\nVALUE = options.MODE\n",
    ),
    "setattr": (
        "from tiny import options\n\nsetattr(options, 'MODE', 'set 0')\n",
        "from tiny import options\n\nVALUE = options.MODE\n",
    ),
    "library": ("import json\n\njson.MODE = 'set 0'\n", "import json\n\nVALUE = getattr(json, 'MODE', 'unset')\n"),
    "call": (
        "from tiny.options import MODES\n\nMODES.append('set 0')\n",
        "from tiny.options import MODES\n\nVALUE = MODES[-1]\n",
    ),
    "other name": (
        "from tiny.options import MODES\n\nours = MODES\nours.append('set 0')\n",
        "from tiny.options import MODES\n\nVALUE = MODES[-1]\n",
    ),
    "loop": (
        "from tiny import options\n\nfor one in [options]:\n    one.MODE = 'set 0'\n",
        "from tiny import options\n\nVALUE = options.MODE\n",
    ),
    "comprehension": (
        "from tiny import options\n\n[setattr(one, 'MODE', 'set 0') for one in [options]]\n",
        "from tiny import options\n\nVALUE = options.MODE\n",
    ),
    "own function": (
        "from tiny import options\n\n\ndef set_up():\n    options.MODE = 'set 0'\n\n\nset_up()\n",
        "from tiny import options\n\nVALUE = options.MODE\n",
    ),
    "own function with a result": (
        "from tiny.options import MODES\n\n\ndef add(modes):\n    modes.append('set 0')\n\n\nDONE = add(MODES)\n",
        "from tiny.options import MODES\n\nVALUE = MODES[-1]\n",
    ),
    "deletion": (
        "from tiny import options\n\noptions.MODES[0] = 'set 0'\ndel options.MODES[1]\n",
        "from tiny.options import MODES\n\nVALUE = MODES[-1]\n",
    ),
    "file": (
        "from pathlib import Path\n\nPath(__file__).with_name('made.txt').write_text('set 0')\n",
        "from pathlib import Path\n\nVALUE = Path(__file__).with_name('made.txt').read_text()\n",
    ),
    "looked up": (
        "MODE = 'set 0'\n",
        "import sys\n\nVALUE = getattr(sys.modules.get('tiny.acting'), 'MODE', 'unset')\n",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_effect_of_another_module(name: str, tiny: Project, serve: Serve) -> None:
    acting, seeing = OTHERS[name]
    tiny.write("options.py", "MODE = 'unset'\nMODES = ['unset', 'unset']\n")
    tiny.write("acting.py", acting)
    tiny.write("seeing.py", seeing)
    tiny.write("version.py", "import tiny.acting\nfrom tiny.seeing import VALUE as VERSION\n")
    server = serve(tiny)
    assert server.text() == "set 0"
    for number in range(1, 4):
        server.until_standby()
        tiny.replace("acting.py", f"set {number - 1}", f"set {number}")
        server.until_reloads(number)
        assert server.text() == f"set {number}"


def test_effect_that_is_new(tiny: Project, serve: Serve) -> None:
    tiny.write("options.py", "MODE = 'unset'\n")
    tiny.write("acting.py", "NUMBER = 0\n")
    tiny.write("seeing.py", "from tiny import options\n\nVALUE = options.MODE\n")
    tiny.write("version.py", "import tiny.acting\nfrom tiny.seeing import VALUE as VERSION\n")
    server = serve(tiny)
    server.until_standby()
    tiny.write("acting.py", "NUMBER = 1\n")
    server.until_reloads(1)
    server.until_standby()
    tiny.write("acting.py", "from tiny import options\n\noptions.MODE = 'set'\n")
    server.until_reloads(2)
    assert server.text() == "set"
