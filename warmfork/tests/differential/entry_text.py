"""The text of the module that has the application."""

from typing import TYPE_CHECKING

from differential.texts import beginning

if TYPE_CHECKING:
    from differential.model import Model

ENTRY = """\
STARTED = []
LOADED = []
REGISTERED = {}
def call(function):
    try: return function()
    except Exception as error: return repr(error)
def state():
    found = {}
    for name in LOADED:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        values = getattr(module, "__dict__", {})
        found[name] = {"file": file and os.path.relpath(os.path.realpath(file)), "package": module.__package__}
        if "SEEN" in values:
            later = {key: call(function) for key, function in values["LATER"].items()}
            found[name] |= {"seen": values["SEEN"], "derived": values["DERIVED"], "later": later}
        if "NAMES" in values: found[name]["names"] = REGISTERED[name]
        if "FOUND" in values: found[name]["found"] = sorted(values["FOUND"])
    return {"modules": found, "started": STARTED, "paths": PATHS}
def import_late(function):
    # At a request it would end the server.
    try: return function()
    except SystemExit as error: raise RuntimeError(repr(error))
def late():
    found = {}
    for name in LOADED:
        functions = getattr(sys.modules.get(name), "LATE", {})
        found[name] = {key: import_late(function) for key, function in functions.items()}
    return found
"""
# What late imports add depends on the requests.
LOADED = """\
LOADED += sorted(
    name for name, module in sys.modules.items() if module is not None
    and (name.partition(".")[0] in {tops} or not {{"SEEN", "NAMES"}}.isdisjoint(getattr(module, "__dict__", {{}})))
)
REGISTERED |= {{
    name: sorted(sys.modules[name].NAMES) for name in LOADED if "NAMES" in getattr(sys.modules[name], "__dict__", {{}})
}}
"""
LIFESPAN = """\
from contextlib import asynccontextmanager
@asynccontextmanager
async def lifespan(app):
    STARTED.append(VALUE)
    yield
"""
FASTAPI = """\
from fastapi import FastAPI
from fastapi.responses import JSONResponse
def create():
    app = FastAPI({lifespan})
    for router in ROUTERS: app.include_router(router)
    @app.get("/")
    async def root() -> JSONResponse: return JSONResponse(state())
    @app.get("/late")
    async def late_route() -> JSONResponse: return JSONResponse(late())
    return app
"""
STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def root(_): return JSONResponse(state())
async def late_route(_): return JSONResponse(late())
def create(): return Starlette(routes=[Route("/", root), Route("/late", late_route)]{lifespan})
"""
ASGI = """\
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        STARTED.append(VALUE)
        if FAULT: return await send({"type": "lifespan.startup.failed", "message": FAULT})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    body = json.dumps(late() if scope["path"] == "/late" else state()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
def create(): return application
"""


def entry_text(model: "Model") -> str:
    """Return the text of the module that has the application."""
    module = model.modules[model.entry]
    text = beginning(model, model.entry) + ENTRY
    fault = f"the lifespan fails {module.value}" if module.fault == "lifespan" else ""
    if model.framework == "asgi":
        text += f"PATHS, FAULT = [], {fault!r}\n{ASGI}"
    else:
        lifespan = LIFESPAN.replace("    yield", f"    raise RuntimeError({fault!r})\n    yield") if fault else LIFESPAN
        text += lifespan if model.has_lifespan else ""
        text += "ROUTERS = []\n"
        for one in module.imports:
            if one.target in model.modules and "route" in model.modules[one.target].features and one.style != "lazy":
                place = model.dotted(one.target)
                text += f"from {place} import {one.target}_router; ROUTERS.append({one.target}_router)\n"
        text += "PATHS = [route.path for router in ROUTERS for route in router.routes]\n"
        if model.framework == "fastapi":
            text += FASTAPI.format(lifespan="lifespan=lifespan" if model.has_lifespan else "")
        else:
            text += STARLETTE.format(lifespan=", lifespan=lifespan" if model.has_lifespan else "")
    tops = sorted({package.name.partition(".")[0] for package in model.packages.values() if package.name})
    if not model.layout.is_factory:
        text += "app = create()\n"
    return text + LOADED.format(tops=tops)
