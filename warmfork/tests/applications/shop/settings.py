"""Settings from the environment and from .env, read once in a process's life."""

from functools import lru_cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env")

    greeting: str = "hello"
    currency: str = "EUR"


@lru_cache
def get_settings() -> Settings:
    return Settings()
