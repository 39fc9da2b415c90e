"""A real PostgreSQL for the session, and the application on top of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from app.main import create_app
from app.migrate import migrate
from app.settings import DRIVER, Settings
from backend_process import BackendProcess
from dev.database import Postgres
from statements import execute
from tests.postgres import new_server


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Load plugins of pytest that are left out otherwise, for the time that it takes."""
    if module_path.name == "test_openapi.py":
        parent.config.pluginmanager.import_plugin("schemathesis.pytest.plugin")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with new_server(tmp_path_factory, tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    execute(postgres.url(), "CREATE DATABASE migrated")
    migrate(make_url(postgres.url("migrated")).set(drivername=DRIVER))
    return "migrated"


@pytest.fixture(scope="session")
def shared_database(postgres: Postgres, migrated_template: str) -> str:
    execute(postgres.url(), f"CREATE DATABASE shared TEMPLATE {migrated_template}")
    return "shared"


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a database without tables."""
    name = f"empty_{uuid4().hex}"
    execute(postgres.url(), f"CREATE DATABASE {name}")
    yield postgres.url(name)
    execute(postgres.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """Return the URL of a database with an empty table todo."""
    name = f"todo_{uuid4().hex}"
    execute(postgres.url(), f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield postgres.url(name)
    execute(postgres.url(), f"DROP DATABASE {name} WITH (FORCE)")


def settings_for(url: str, **others: object) -> Settings:
    return Settings.model_validate({"database_url": url, "pod_name": "pod-1", "metrics_port": 0, **others})


@pytest.fixture(scope="session", autouse=True)
def _adapt_to_tests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Leave the logs to pytest: an application in this process must not take them over.
        patch.setattr("app.main.configure_logs", lambda _style: None)
        # Let a busy machine take longer than a cluster may.
        patch.setattr("app.readiness.BUDGET", 30.0)
        patch.setattr("app.database.ACQUISITION", 30.0)
        patch.setattr("app.database.ANSWER", 30.0)
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts the application on a database and gives a client for it."""
    with ExitStack() as started:

        def start(url: str, **settings: object) -> TestClient:
            return started.enter_context(TestClient(create_app(settings_for(url, **settings))))

        yield start


@pytest.fixture(scope="session")
def shared_client(_adapt_to_tests: None, postgres: Postgres, shared_database: str) -> Iterator[TestClient]:
    with TestClient(create_app(settings_for(postgres.url(shared_database)))) as client:
        yield client


@pytest.fixture
def empty_table(postgres: Postgres, shared_database: str) -> str:
    """Return the URL of a database with an empty table todo; emptying one is quicker than making a database."""
    url = postgres.url(shared_database)
    execute(url, "TRUNCATE todo RESTART IDENTITY")
    return url


@pytest.fixture
def client(shared_client: TestClient, empty_table: str) -> TestClient:
    """Return a client of an application that goes on to serve other tests: what is stored may change, nothing else."""
    assert empty_table
    return shared_client


@pytest.fixture
def own_client(serve: Callable[..., TestClient], empty_table: str) -> TestClient:
    """Return a client of an application that serves this test alone."""
    return serve(empty_table)


@pytest.fixture(scope="session")
def running_backend(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, migrated_template: str
) -> Iterator[BackendProcess]:
    """Return a backend in a process of its own, for tests that leave it running."""
    execute(postgres.url(), f"CREATE DATABASE running TEMPLATE {migrated_template}")
    output = tmp_path_factory.mktemp("running") / "output"
    with BackendProcess(output, DATABASE_URL=postgres.url("running"), POD_NAME="pod-2") as backend:
        yield backend


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return the file for a process's output."""
    return tmp_path / "output"
