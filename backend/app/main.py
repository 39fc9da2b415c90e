"""The application. Importing it reads no settings and touches no database; both wait for start-up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from app import docs
from app.database import Database
from app.errors import handle_errors
from app.logs import configure_logs
from app.metrics import Metrics
from app.middleware import BodyLimit, LastResort, Observation, Shedding
from app.readiness import Readiness
from app.routers import probes, todos
from app.settings import Settings, load_settings
from app.version import source_digest


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; settings that are not given are read when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Taken when it starts: not when asked, for the files may change under a running process; not when it is
        # imported, for a reloader may copy a process that has imported an older text of them.
        code = source_digest(Path(__file__).parent)
        state = app.state
        state.settings = settings or load_settings()
        configure_logs(state.settings.log_format)
        database = state.database = Database(state.settings)
        state.readiness = Readiness(database.probe)
        build = {"build": state.settings.build, "commit": state.settings.commit, "code": code}
        state.version = probes.Version(pod=state.settings.pod_name, **build)
        state.metrics = Metrics()
        state.metrics.describe(build, database.engine)
        try:
            with state.metrics.serve(state.settings.metrics_port):
                yield
        finally:
            database.dispose()

    app = FastAPI(title="Todo API", version="1.0.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    # The last one added is the outermost.
    app.add_middleware(Shedding)
    app.add_middleware(BodyLimit)
    app.add_middleware(LastResort)
    app.add_middleware(Observation)
    handle_errors(app)
    app.include_router(todos.router)
    app.include_router(probes.router)
    app.include_router(docs.router)
    return app


app = create_app()
