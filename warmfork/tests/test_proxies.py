"""Modules that hold proxies, which stand for something that is not there before the application has started."""

from sample_project import Project
from warmfork_server import Serve

HELD = """
class Proxy:
    @property
    def __class__(self):
        return state["held"].__class__

    def __str__(self):
        return state["held"]


state = {}
proxy = Proxy()
"""


def test_proxy_is_not_asked_before_the_application_has_started(tiny: Project, serve: Serve) -> None:
    tiny.write("held.py", HELD)
    tiny.write("version.py", "from tiny.held import proxy\n\nVERSION = 'early'\n")
    server = serve(tiny)
    assert server.text() == "early"
    for number in range(1, 3):
        server.until_copy()
        tiny.append("held.py", "# again\n")
        server.until_reloads(number)
        assert server.text() == "early"
