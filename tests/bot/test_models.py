import subprocess
import sys

import pytest

from bot.errors import SettingsError
from bot.models import open_model
from bot.settings import ROOT, Settings

SECRET = "sk-very-secret-123"


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["", "  "])
def test_no_name_means_no_model(name):
    assert open_model(settings(model=name)) is None


def test_a_model_takes_address_key_and_time_limit_from_the_settings():
    model = open_model(
        settings(model="openai:some-model:7b", model_base_url="http://127.0.0.1:9/v1", model_api_key=SECRET, model_timeout_s=7)
    )
    assert model.model_name == "some-model:7b"
    assert model.openai_api_base == "http://127.0.0.1:9/v1"
    assert model.openai_api_key.get_secret_value() == SECRET
    assert model.request_timeout == 7
    assert model.max_retries == 0
    assert SECRET not in repr(model)


def test_a_server_of_ones_own_needs_no_key():
    assert open_model(settings(model="openai:local", model_base_url="http://127.0.0.1:9/v1")) is not None


def test_the_key_of_the_providers_own_variable_works_too(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for base_url in ("", "http://127.0.0.1:9/v1"):
        model = open_model(settings(model="openai:x", model_base_url=base_url))
        assert model.openai_api_key.get_secret_value() == SECRET


@pytest.mark.parametrize("name", ["gpt-4o", "openai:", ":gpt-4o", ":"])
def test_a_name_without_provider_or_model_is_refused(name):
    with pytest.raises(SettingsError, match="provider:name"):
        open_model(settings(model=name))


def test_an_unknown_provider_is_named():
    with pytest.raises(SettingsError, match="'nonesuch'"):
        open_model(settings(model="nonesuch:x", model_api_key=SECRET))


@pytest.mark.parametrize(
    ("name", "module", "advice"),
    [
        ("anthropic:x", "langchain_anthropic", "img-advisor[anthropic]"),
        ("ollama:x", "langchain_ollama", "img-advisor[ollama]"),
        ("cohere:x", "langchain_cohere", "langchain-cohere"),
    ],
)
def test_a_missing_package_says_what_to_install(monkeypatch, name, module, advice):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(SettingsError) as caught:
        open_model(settings(model=name))
    assert advice in str(caught.value)


def test_a_missing_key_is_asked_for():
    with pytest.raises(SettingsError, match="IMG_ADVISOR_MODEL_API_KEY"):
        open_model(settings(model="openai:gpt-4o-mini"))


def test_what_the_provider_refuses_is_told_without_the_key(monkeypatch):
    def refuse(*args, **values):
        raise ValueError(f"wrong: {values}")

    monkeypatch.setattr("langchain.chat_models.init_chat_model", refuse)
    with pytest.raises(SettingsError) as caught:
        open_model(settings(model="openai:x", model_api_key=SECRET))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import bot.models, bot.writer, bot.prompts", "langchain langchain_core langchain.agents openai langgraph"),
        (
            "from bot.models import open_model; from bot.settings import Settings\n"
            "assert open_model(Settings(_env_file=None, model='openai:x', model_base_url='http://127.0.0.1:9/v1'))",
            "langchain.agents langgraph torch transformers",
        ),
    ],
)
def test_only_what_is_used_is_imported(code, absent):
    check = f"{code}\nimport sys\nfound = set({absent.split()}) & set(sys.modules)\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
