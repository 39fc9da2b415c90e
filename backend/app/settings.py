"""Settings: from environment variables, or from files of the same lower-case name in a mounted directory."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SECRETS = Path("/run/secrets/todo")
DRIVER = "postgresql+psycopg2"

Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigurationError(Exception):
    """The settings are unusable; the text is one line that names the setting and the cause, never its value."""


def _parse(url: str) -> URL:
    """Return the URL with its driver spelled out: SQLAlchemy reads a bare postgresql:// as psycopg 3."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("is not a URL; write postgresql://user@host:5432/database") from None
    if parsed.drivername not in {"postgres", "postgresql", DRIVER}:
        raise ValueError("must start with postgresql://")
    return parsed.set(drivername=DRIVER)


def _check_url(url: SecretStr) -> SecretStr:
    _parse(url.get_secret_value())
    return url


def _check_root_path(path: str) -> str:
    if path and (not path.startswith("/") or path.endswith("/")):
        raise ValueError("must start with a slash and not end with one, for example /api")
    return path


class Settings(BaseSettings):
    """What the process is told from outside."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_check_url)]
    database_password: SecretStr | None = None
    database_password_next: SecretStr | None = Field(default=None, description="tried where the other is refused")
    pod_name: str = Field(default_factory=socket.gethostname)
    build: str = "dev"
    commit: str = "dev"
    log_format: Literal["json", "human"] = "json"
    root_path: Annotated[str, AfterValidator(_check_root_path)] = ""
    port: Port = 8000
    metrics_port: Port = Field(default=9000, description="0 serves no metrics")
    drain_seconds: float = Field(default=3, ge=0, le=60)

    @property
    def database(self) -> URL:
        """The database's URL with driver and password, for SQLAlchemy."""
        url = _parse(self.database_url.get_secret_value())
        return url.set(password=self.database_password.get_secret_value()) if self.database_password else url


def load_settings(secrets: Path = SECRETS) -> Settings:
    """Read the settings.

    Raises ConfigurationError, whose text is one line, when one is missing or unusable.
    """
    try:
        return Settings(_secrets_dir=secrets if secrets.is_dir() else None)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_describe(dict(problem), secrets) for problem in error.errors())) from None
    except (OSError, SettingsError) as error:
        raise ConfigurationError(f"cannot read the settings: {error}") from None


def _describe(problem: dict[str, object], secrets: Path) -> str:
    location = problem["loc"]
    name = str(location[0]) if isinstance(location, tuple) else "settings"
    if problem["type"] == "missing":
        return f"{name.upper()} is missing; set it in the environment or in the file {secrets / name}"
    return f"{name.upper()} {str(problem['msg']).removeprefix('Value error, ')}"
