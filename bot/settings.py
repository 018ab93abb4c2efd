"""Settings: read from the environment and `.env` (prefix IMG_ADVISOR_) in one place, checked at start."""

from __future__ import annotations

import os
import re
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
    model_steps: int = Field(3, ge=0, le=10, description="Times the chat model may look things up for a question; 0: never")
    model_tokens: int = Field(200_000, ge=0, description="Tokens the chat model may use in one conversation; 0: no limit")
    model_seconds: float = Field(0, ge=0, description="Seconds the chat model may work in one conversation; 0: no limit")
    model_usd: float = Field(0, ge=0, description="US dollars the chat model may cost in one conversation, by these prices; 0: no limit")
    model_usd_per_million_in: float = Field(0, ge=0, description="Price of a million tokens read by the chat model, in US dollars")
    model_usd_per_million_out: float = Field(0, ge=0, description="Price of a million tokens written by the chat model, in US dollars")
    api_key: SecretStr = Field(SecretStr(""), description="Key that /api/v1/ask and /search need once the server listens beyond loopback")
    sites: str = Field("", description="Web origins (https://school.example) that may embed the chat, comma-separated")
    visitor_messages_per_minute: int = Field(20, ge=1, le=10000, description="Messages a visitor may send per minute")
    visitor_conversations_per_hour: int = Field(60, ge=1, le=100000, description="Conversations a visitor may start per hour")
    secret: SecretStr = Field(SecretStr(""), description="Key for conversation tokens; empty: made once and kept in the database")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Log level; questions are never logged")
    trust_proxy: bool = Field(False, description="A reverse proxy stands in front: the visitor is the last address of X-Forwarded-For")
    site_messages_per_minute: int = Field(600, ge=1, le=1_000_000, description="Messages a minute from all visitors of one site together")
    visitor_requests_per_minute: int = Field(
        300, ge=1, le=1_000_000, description="Other requests a visitor may make per minute (pages, profile, feedback)"
    )
    reply_within: str = Field(
        "", max_length=60, description="How soon an advisor replies ('one working day'), shown to applicants; empty: nothing is promised"
    )
    allowed_urls: str = Field("", description="Web addresses that ingest may fetch: beginnings (https://…), comma-separated; empty: none")
    golden: Path | None = Field(None, description="Folder for golden questions made of approved answers; empty: golden/ in the data folder")

    sso_issuer: str = Field("", description="Identity provider (OpenID Connect issuer, https://…) for signing in to the console")
    sso_client_id: str = Field("", description="Client id at the identity provider; its redirect address is …/console/sso/back")
    sso_client_secret: SecretStr = Field(SecretStr(""), description="Client secret at the identity provider")
    sso_name: str = Field("your organization", max_length=60, description="What the sign-in button calls the identity provider")
    sso_domains: str = Field("", description="Domains of e-mail addresses that may come through it, comma-separated; empty: all")
    sso_role: Literal["", "advisor", "editor", "admin"] = Field(
        "", description="Role of people who come through it and have no account yet; empty: an admin must add them first"
    )
    session_idle_minutes: int = Field(120, ge=5, le=1440, description="Minutes of rest after which the console asks to sign in again")
    session_hours: int = Field(24, ge=1, le=720, description="Hours after which the console asks to sign in again in any case")

    public_url: str = Field("", description="Address at which people reach this server (https://…), for links in Slack and mails")
    slack_signing_secret: SecretStr = Field(SecretStr(""), description="Slack app's signing secret; opens /slack/events")
    slack_client_id: str = Field("", description="Slack app's client id; with secret and key, /slack/install installs it")
    slack_client_secret: SecretStr = Field(SecretStr(""), description="Slack app's client secret")
    slack_bot_token: SecretStr = Field(SecretStr(""), description="Bot token (xoxb-…) of one workspace, without OAuth")
    slack_app_token: SecretStr = Field(SecretStr(""), description="App-level token (xapp-…) for Socket Mode: img-advisor slack")
    slack_encryption_key: SecretStr = Field(SecretStr(""), description="Keys for the workspaces' tokens, comma-separated, the newest first")
    slack_api_url: str = Field("https://slack.com/api/", description="Where Slack's Web API answers; another one for tests")

    @field_validator("vectors_url", "public_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("slack_encryption_key")
    @classmethod
    def _keys(cls, value: SecretStr) -> SecretStr:
        for key in value.get_secret_value().split(","):
            if key.strip() and not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key.strip()):
                raise ValueError("holds something that is no key; make one with: img-advisor slack key")
        return value

    @field_validator("sites")
    @classmethod
    def _web_origins(cls, value: str) -> str:
        for site in (part.strip().rstrip("/") for part in value.split(",") if part.strip()):
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:\d{1,5})?", site):
                raise ValueError(f"'{site[:60]}' is no web origin; write scheme and host only, as in https://school.example")
        return value.lower()

    @field_validator("sso_issuer")
    @classmethod
    def _safe_issuer(cls, value: str) -> str:
        if value and not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)", value):
            raise ValueError("must start with https:// (or be on this machine)")
        return value.rstrip("/")

    @property
    def sso(self) -> bool:
        return bool(self.sso_issuer and self.sso_client_id)

    @property
    def sso_allowed(self) -> frozenset[str]:
        return frozenset(domain.strip().lower().lstrip("@") for domain in self.sso_domains.split(",") if domain.strip())

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
    def golden_folder(self) -> Path:
        return self.golden or self.data / "golden"

    @property
    def weights_folder(self) -> Path:
        return self.weights or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "img-advisor" / "weights"

    @property
    def origins(self) -> list[str]:
        return [site.strip().rstrip("/") for site in self.sites.split(",") if site.strip()]

    @property
    def slack(self) -> bool:
        """Slack is set up: over HTTP, by Socket Mode, or both."""
        return bool(self.slack_signing_secret.get_secret_value() or self.slack_app_token.get_secret_value())

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
