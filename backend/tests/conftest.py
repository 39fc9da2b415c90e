"""A real PostgreSQL for the session, and the application on top of it."""

from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
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


@pytest.fixture(autouse=True)
def _keep_log_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logs to pytest: an application in this process must not take them over."""
    monkeypatch.setattr("app.main.configure_logs", lambda _style: None)


@pytest.fixture(autouse=True)
def _give_readiness_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take longer than a cluster may."""
    monkeypatch.setattr("app.readiness.BUDGET", 30.0)


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts the application on a database and gives a client for it."""
    started: list[TestClient] = []

    def start(url: str, **settings: object) -> TestClient:
        client = TestClient(create_app(settings_for(url, **settings)))
        client.__enter__()
        started.append(client)
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Callable[..., TestClient], postgres: Postgres, shared_database: str) -> TestClient:
    """Return a client of the application on an empty table; emptying one is quicker than making a database."""
    url = postgres.url(shared_database)
    execute(url, "TRUNCATE todo RESTART IDENTITY")
    return serve(url)


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
