import socket
from pathlib import Path

import pytest

from app.settings import ConfigurationError, load_settings

VARIABLES = ("DATABASE_URL", "DATABASE_PASSWORD", "POD_NAME", "LOG_FORMAT", "ROOT_PATH", "PORT", "METRICS_PORT")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("scheme", ("postgresql", "postgres", "postgresql+psycopg2"))
def test_driver_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, scheme: str, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://todo_app@postgres:5432/todo")
    url = load_settings(tmp_path).database
    assert url.render_as_string() == "postgresql+psycopg2://todo_app@postgres:5432/todo"


@pytest.mark.parametrize("password", ("simple", "p@ss/w:rd?#%20 'quoted\"", "密码"))
def test_password_from_a_file_goes_into_the_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://todo_app@postgres/todo")
    (tmp_path / "database_password").write_text(f"{password}\n")
    assert load_settings(tmp_path).database.password == password


def test_environment_wins_over_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "database_url").write_text("postgresql://file/todo")
    assert load_settings(tmp_path).database.host == "file"
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/todo")
    assert load_settings(tmp_path).database.host == "environment"


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres/todo")
    monkeypatch.setenv("PORT", "")
    settings = load_settings(tmp_path / "absent")
    assert settings.pod_name == socket.gethostname()
    assert (settings.port, settings.metrics_port, settings.log_format, settings.root_path) == (8000, 9000, "json", "")
    assert (settings.build, settings.commit, settings.database_password) == ("dev", "dev", None)


@pytest.mark.parametrize(
    ("variables", "text"),
    (
        ({}, "DATABASE_URL is missing; set it in the environment or in the file "),
        ({"DATABASE_URL": ""}, "DATABASE_URL is missing"),
        ({"DATABASE_URL": "hunter2"}, "DATABASE_URL is not a URL; write postgresql://user@host:5432/database"),
        ({"DATABASE_URL": "postgresql://host:hunter2/todo"}, "DATABASE_URL is not a URL"),
        ({"DATABASE_URL": "mysql://hunter2@host/todo"}, "DATABASE_URL must start with postgresql://"),
        ({"DATABASE_URL": "postgresql+psycopg://hunter2@host/todo"}, "DATABASE_URL must start with postgresql://"),
        ({"DATABASE_URL": "postgresql://host/todo", "PORT": "hunter2"}, "PORT Input should be a valid integer"),
        ({"DATABASE_URL": "postgresql://host/todo", "PORT": "65536"}, "PORT Input should be less than"),
        ({"DATABASE_URL": "postgresql://host/todo", "LOG_FORMAT": "xml"}, "LOG_FORMAT Input should be 'json' or"),
        ({"DATABASE_URL": "postgresql://host/todo", "ROOT_PATH": "api/"}, "ROOT_PATH must start with a slash"),
    ),
)
def test_unusable_settings_are_named_in_one_line_without_their_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], text: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    message = str(caught.value)
    assert text in message
    assert "\n" not in message
    assert "hunter2" not in message


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/todo")
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter3")
    settings = load_settings(tmp_path)
    shown = f"{settings!r} {settings} {settings.database!r} {settings.database} {settings.model_dump()}"
    assert "hunter" not in shown
