"""What modules register with others is in the same order after a save as in a fresh process."""

import pytest

from sample_project import Project, atomically
from warmfork_server import Serve

MAIN = """
from {package} import registry
from {package} import one, two, three

async def app(scope, receive, send):
    await receive()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": " ".join(registry.NAMES).encode()}})
"""
REGISTRY = """
NAMES = []

def register(name):
    def note(function):
        NAMES.append(f"{name}:{function.__name__}")
        return function
    return note

class Base:
    def __init_subclass__(cls):
        NAMES.append(f"{cls.__name__}:{cls.LABEL}")

class Meta(type):
    def __init__(cls, *_):
        NAMES.append(f"{cls.__name__}:{getattr(cls, 'LABEL', '')}")
"""
# How a module may register something, and what a save changes in it.
WAYS: dict[str, str] = {
    "decorator": "from {package}.registry import register\n@register('{name}')\ndef {label}(): pass\n",
    "attribute": "from {package} import registry\n@registry.register('{name}')\ndef {label}(): pass\n",
    "call": "import {package}.registry as r\nr.NAMES.append('{name}:{label}')\n",
    "relative": "from . import registry\nif True:\n    registry.NAMES += ['{name}:{label}']\n",
    "assignment": "from .registry import NAMES\nNAMES[len(NAMES):] = ['{name}:{label}']\n",
    "subclass": "from .registry import Base\nclass {name}(Base):\n    LABEL = '{label}'\n",
    "metaclass": "from .registry import Meta\nclass {name}(metaclass=Meta):\n    LABEL = '{label}'\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_registrations_keep_their_order(tiny: Project, serve: Serve, way: str) -> None:
    def write(name: str, label: str) -> None:
        atomically(tiny.path(f"{name}.py"), WAYS[way].format(package=tiny.package, name=name, label=label))

    for name in ("one", "two", "three"):
        write(name, "first")
    tiny.write("registry.py", REGISTRY)
    tiny.write("main.py", MAIN.format(package=tiny.package))
    server = serve(tiny)
    assert server.text() == "one:first two:first three:first"
    for label in ("second", "third", "fourth"):
        server.until_standby()
        write("two", label)
        server.until_text(f"one:first two:{label} three:first")
