"""Import hooks of libraries that have modules loaded in their own way, as typeguard and beartype do to check types."""

import pytest

from sample_project import Project
from warmfork_server import Serve

LOADER = """
import sys
from importlib.machinery import FileFinder, SourceFileLoader


class Loader(SourceFileLoader):
    def source_to_code(self, data, path, **options):
        return super().source_to_code(data.replace(b"plain", b"hooked"), path, **options)

"""
HOOKS = {
    "meta_path": """
class Finder:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("tiny.checked"):
            return None
        spec = self.finder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


(finder,) = (one for one in sys.meta_path if isinstance(one, type) and one.__name__ == "PathFinder")
sys.meta_path.insert(0, Finder(finder))
""",
    "path_hooks": """
sys.path_hooks.insert(0, FileFinder.path_hook((Loader, [".py"])))
sys.path_importer_cache.clear()
""",
}
ASKING = """
from tiny import hook

try:
    from tiny.checked_too import VALUE
except ImportError:
    from tiny.checked import VALUE

VERSION = VALUE
"""


@pytest.mark.parametrize("name", HOOKS)
def test_modules_that_a_hook_loads(name: str, tiny: Project, serve: Serve) -> None:
    tiny.write("hook.py", LOADER + HOOKS[name])
    tiny.write("checked.py", "VALUE = 'plain 0'\n")
    tiny.write("version.py", ASKING)
    server = serve(tiny)
    assert server.text() == "hooked 0"
    for number in range(1, 4):
        server.until_standby()
        tiny.write("checked.py", f"VALUE = 'plain {number}'\n")
        server.until_reloads(number)
        assert server.text() == f"hooked {number}"
    server.until_standby()
    tiny.write("checked_too.py", "VALUE = 'plain too'\n")
    server.until_reloads(4)
    assert server.text() == "hooked too"
