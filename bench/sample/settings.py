"""Settings, from the environment."""

from functools import lru_cache

from pydantic_settings import BaseSettings, SettingsConfigDict

REVISION = 0


class Settings(BaseSettings):
    """What the process is told from outside."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_", frozen=True)

    title: str = "Sample"
    database_url: str = "sqlite://"
    page_size: int = 50


@lru_cache
def load_settings() -> Settings:
    """Return the settings, read once."""
    return Settings()
