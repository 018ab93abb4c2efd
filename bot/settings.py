"""Settings: read from the environment and `.env` (prefix IMG_ADVISOR_) in one place, checked at start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL

from bot.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, or site-packages when installed from the wheel: `knowledge/` and `prompts/` lie beside `bot/` in both."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="IMG_ADVISOR_", env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(
        8000, ge=0, le=65535, validation_alias=AliasChoices("port", "IMG_ADVISOR_PORT", "PORT"), description="Port to listen on (also PORT)"
    )
    knowledge: Path = Field(ROOT / "knowledge", description="Folder with guides/, data/ and sources.yaml")
    data: Path = Field(Path(".img-advisor"), description="Folder for the index, the database and the embedder's weights")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite inside the data folder. postgresql://… for many users")
    vectors_url: str = Field("", description="Chroma server, http://host:port; empty: embedded Chroma inside the data folder")
    collection: str = Field("default", description="Collection that is asked when none is named")
    embedder: str = Field("gte-small", description="gte-small, all-MiniLM-L6-v2, or sentence-transformers:NAME_OR_FOLDER")
    weights: Path | None = Field(None, description="Folder where the embedder's files lie or are put; empty: the user's cache folder")
    offline: bool = Field(False, description="Never fetch anything; weights must already lie in their folder")
    threads: int = Field(0, ge=0, le=64, description="CPU threads for embedding; 0: all cores")
    model: str = Field("", description="Chat model as provider:name (openai:…, anthropic:…, ollama:…); empty: extractive answers")
    model_base_url: str = Field("", description="Base URL of an OpenAI-compatible or Ollama server")
    model_api_key: SecretStr = Field(SecretStr(""), description="Key for the chat model; the provider's own variable works too")
    model_timeout_s: float = Field(30, gt=0, le=600, description="Longest wait for the chat model's whole reply")
    api_key: SecretStr = Field(SecretStr(""), description="Key that /api/v1/ask and /search need once the server listens beyond loopback")
    sites: str = Field("", description="Web origins allowed to embed and call the public API, comma-separated")
    visitor_messages_per_minute: int = Field(20, ge=1, le=10000, description="Messages a visitor may send per minute")
    visitor_conversations_per_hour: int = Field(60, ge=1, le=100000, description="Conversations a visitor may start per hour")
    secret: SecretStr = Field(SecretStr(""), description="Key for conversation tokens; empty: made once and kept in the database")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Log level; questions are never logged")
    trust_proxy: bool = Field(False, description="A reverse proxy stands in front: the visitor is the last address of X-Forwarded-For")
    site_messages_per_minute: int = Field(600, ge=1, le=1_000_000, description="Messages a minute from all visitors of one site together")
    visitor_requests_per_minute: int = Field(
        300, ge=1, le=1_000_000, description="Other requests a visitor may make per minute (pages, profile, feedback)"
    )
    allowed_urls: str = Field("", description="Web addresses that ingest may fetch: beginnings (https://…), comma-separated; empty: none")

    @field_validator("vectors_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @property
    def database(self) -> str:
        """Async SQLAlchemy URL."""
        here = URL.create("sqlite", database=str(self.data.resolve() / "advisor.sqlite3")).render_as_string()
        url = self.database_url or here
        for plain, driver in (
            ("sqlite:", "sqlite+aiosqlite:"),
            ("postgresql:", "postgresql+asyncpg:"),
            ("postgres:", "postgresql+asyncpg:"),
        ):
            if url.startswith(plain):
                return driver + url[len(plain) :]
        return url

    @property
    def weights_folder(self) -> Path:
        return self.weights or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "img-advisor" / "weights"

    @property
    def origins(self) -> list[str]:
        return [site.strip().rstrip("/") for site in self.sites.split(",") if site.strip()]

    @property
    def loopback_only(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}


def read_settings(**overrides: object) -> Settings:
    """Settings from the environment, `.env` and `overrides` (which win).

    Raises:
        SettingsError: names each wrong variable, what is wrong with it, and never its value when it is secret.
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        parts = []
        for item in error.errors():
            name = str(item["loc"][0]) if item["loc"] else "settings"
            variable = name if name.isupper() else "IMG_ADVISOR_" + name.upper()
            parts.append(f"{variable}: {item['msg']}")
        raise SettingsError("Wrong settings: " + "; ".join(parts) + ". Correct the environment or the .env file.") from None
