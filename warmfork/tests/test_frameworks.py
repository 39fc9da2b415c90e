"""Applications of other frameworks than FastAPI: they start, and each save is served without a new parent."""

from pathlib import Path

import pytest

from package_folder import install
from sample_project import Project
from warmfork_server import Serve

FRAMEWORKS = Path(__file__).with_name("frameworks.txt")

STARLETTE = """
from contextlib import asynccontextmanager
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tiny.version import VERSION

async def show(request):
    return PlainTextResponse(f"{VERSION} {request.state.started}")

@asynccontextmanager
async def lifespan(_):
    yield {"started": VERSION}
    Path(f"ended {VERSION}").touch()

app = Starlette(routes=[Route("/", show)], lifespan=lifespan)
"""
# Starts a thread for its log when it is imported, so it runs in one process at a time.
LITESTAR = """
from contextlib import asynccontextmanager
from pathlib import Path
from litestar import Litestar, Request, get
from tiny.version import VERSION

@get("/", media_type="text/plain", sync_to_thread=False)
def show(request: Request) -> str:
    return f"{VERSION} {request.app.state.started}"

@asynccontextmanager
async def lifespan(application):
    application.state.started = VERSION
    yield
    Path(f"ended {VERSION}").touch()

app = Litestar([show], lifespan=[lifespan])
"""
QUART = """
from pathlib import Path
from quart import Quart
from tiny.version import VERSION

app = Quart(__name__)

@app.before_serving
async def start():
    app.started = VERSION

@app.after_serving
async def end():
    Path(f"ended {VERSION}").touch()

@app.get("/")
async def show():
    return f"{VERSION} {app.started}"
"""
# Has no lifespan. Its settings name the modules that it imports.
DJANGO = {
    "main.py": """
import os
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tiny.settings")
app = get_asgi_application()
""",
    "settings.py": """
SECRET_KEY = "for a test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tiny.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "tiny.items"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "urls.py": """
from django.urls import path
from tiny.items.views import show

urlpatterns = [path("", show)]
""",
    "items/__init__.py": "",
    "items/models.py": """
from django.db import models
from tiny.version import VERSION

class Item(models.Model):
    title = models.CharField(max_length=100, default=VERSION)
""",
    "items/views.py": """
from django.http import HttpResponse
from tiny.items.models import Item
from tiny.version import VERSION

async def show(request):
    return HttpResponse(f"{VERSION} {Item().title}", content_type="text/plain")
""",
}  # fmt: skip
APPLICATIONS = {
    "starlette": {"main.py": STARLETTE},
    "litestar": {"main.py": LITESTAR},
    "quart": {"main.py": QUART},
    "django": DJANGO,
}


@pytest.fixture(scope="session")
def frameworks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with those that are not installed here."""
    return install(FRAMEWORKS, tmp_path_factory.mktemp("frameworks") / "packages")


@pytest.mark.parametrize("framework", APPLICATIONS)
def test_saves_are_served(framework: str, frameworks: Path, tiny: Project, serve: Serve) -> None:
    for name, text in APPLICATIONS[framework].items():
        tiny.path(name).parent.mkdir(exist_ok=True)
        tiny.path(name).write_text(text)
    server = serve(tiny, python_path=() if framework == "starlette" else (frameworks,))
    assert server.text() == "0 0"
    if framework != "litestar":
        server.until_standby()
    restarts = server.reports("^restarting")
    with server.connect() as kept:
        for version in range(1, 4):
            assert kept.get().text == f"{version - 1} {version - 1}"
            tiny.write("version.py", f"VERSION = {version}\n")
            server.until_text(f"{version} {version}")
            if framework != "django":
                server.until("the old lifespan has ended", lambda: tiny.exists(f"ended {version - 1}"))  # noqa: B023
        assert kept.get().text == "3 3"
    # Whatever its libraries made necessary, no save did.
    assert server.reports("^restarting") == restarts
    server.until_reloads(3)


def test_a_view_that_is_edited(frameworks: Path, tiny: Project, serve: Serve) -> None:
    """Django imports by names in its settings what no import statement leads to."""
    for name, text in DJANGO.items():
        tiny.path(name).parent.mkdir(exist_ok=True)
        tiny.path(name).write_text(text)
    server = serve(tiny, python_path=(frameworks,))
    tiny.replace("items/views.py", "{VERSION} ", "view ")
    server.until_text("view 0")
    tiny.replace("items/models.py", "default=VERSION", "default='model'")
    server.until_text("view model")
    tiny.replace("urls.py", 'path("", show)', 'path("", show), path("new", show)')
    server.until("the new address answers", lambda: server.get("/new").text == "view model")
    assert server.reports("not reloaded") == []
