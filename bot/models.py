"""Opens the chat model a setting names. Nothing of LangChain or of a provider is imported before a model is asked for."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from bot.errors import SettingsError
from bot.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

EXTRAS = {"anthropic": "anthropic", "ollama": "ollama"}
"""Providers whose package comes with an extra of ours; openai is always there."""
OLLAMA_CONTEXT_TOKENS = 8192


def open_model(settings: Settings) -> BaseChatModel | None:
    """The model of `IMG_ADVISOR_MODEL`, or None when it is empty. Connects to nothing yet.

    Raises:
        SettingsError: the name has no provider, the provider is unknown, its package or its key is missing.
    """
    if not settings.model.strip():
        return None
    provider, _, name = settings.model.strip().partition(":")
    provider = provider.strip().lower().replace("-", "_")
    if not provider or not name.strip():
        raise SettingsError(
            f"IMG_ADVISOR_MODEL: '{settings.model}' is not of the form provider:name. "
            "Write for example openai:gpt-4o-mini or ollama:llama3.1."
        )
    # Imports LangChain's provider registry only, not its agents.
    init_chat_model = importlib.import_module("langchain.chat_models").init_chat_model
    try:
        return init_chat_model(name.strip(), model_provider=provider, **_options(provider, settings))
    except ImportError:
        raise SettingsError(f"IMG_ADVISOR_MODEL: the package for '{provider}' is not installed. {_install(provider)}") from None
    except Exception as error:
        # Provider packages put what they were given into their messages, the key among it: only the kind of error is told.
        if isinstance(error, ValueError) and str(error).startswith("Unsupported provider"):
            raise SettingsError(
                f"IMG_ADVISOR_MODEL: there is no provider '{provider}'. Use openai (also for servers that speak its protocol, with "
                "IMG_ADVISOR_MODEL_BASE_URL), anthropic, ollama, or another provider that LangChain knows."
            ) from None
        key = "" if settings.model_api_key.get_secret_value() else " If it needs a key, set IMG_ADVISOR_MODEL_API_KEY."
        raise SettingsError(
            f"IMG_ADVISOR_MODEL: '{provider}' cannot be opened with these settings ({type(error).__name__}).{key} "
            "Check IMG_ADVISOR_MODEL and IMG_ADVISOR_MODEL_BASE_URL."
        ) from None


def _options(provider: str, settings: Settings) -> dict[str, Any]:
    """Keyword arguments of the provider's class. Retries are the writer's business, so the client makes none."""
    key = settings.model_api_key.get_secret_value()
    base_url = {"base_url": settings.model_base_url} if settings.model_base_url else {}
    if provider == "ollama":
        headers = {"headers": {"Authorization": f"Bearer {key}"}} if key else {}
        # Ollama's own default context would cut the evidence off without a word.
        return {**base_url, "num_ctx": OLLAMA_CONTEXT_TOKENS, "client_kwargs": {"timeout": settings.model_timeout_s, **headers}}
    options: dict[str, Any] = {**base_url, "timeout": settings.model_timeout_s, "max_retries": 0}
    if key:
        options["api_key"] = key
    if provider == "openai":
        options["stream_chunk_timeout"] = settings.model_timeout_s  # its default would end the wait for a slow local model's first word
    if provider == "openai" and base_url:
        # Other servers speak chat completions, not OpenAI's newer protocol; local ones want no key, but the client insists on one.
        options["use_responses_api"] = False
        if not key and not os.environ.get("OPENAI_API_KEY"):
            options["api_key"] = "none"
    return options


def _install(provider: str) -> str:
    if provider in EXTRAS:
        return f"Install it with: pip install 'img-advisor[{EXTRAS[provider]}]'"
    return f"Install the LangChain package for it, often: pip install langchain-{provider.replace('_', '-')}"
