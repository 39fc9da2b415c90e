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
