from pathlib import Path

import pytest
from jinja2 import UndefinedError

from bot.errors import SettingsError
from bot.prompts import Prompts
from bot.settings import ROOT


def folder(tmp_path: Path, **templates: str) -> Path:
    for name, text in templates.items():
        (tmp_path / f"{name}.j2").write_text(text, encoding="utf-8")
    return tmp_path


def test_renders_a_template_or_one_block_of_it(tmp_path):
    prompts = Prompts(folder(tmp_path, words="{% block hello %}\nHello {{ name }}!\n{% endblock %}\n{% block bye %}Bye.{% endblock %}"))
    assert prompts.render("words.hello", name="Ana") == "Hello Ana!"
    assert prompts.render("words.bye") == "Bye."
    assert prompts.render("words", name="Ana") == "Hello Ana!\nBye."


def test_values_are_neither_escaped_nor_rendered(tmp_path):
    prompts = Prompts(folder(tmp_path, echo="{{ text }}"))
    assert prompts.render("echo", text="{{ 7 * 7 }} <b> & {% raw %}") == "{{ 7 * 7 }} <b> & {% raw %}"


def test_a_forgotten_value_is_an_error_not_a_gap(tmp_path):
    prompts = Prompts(folder(tmp_path, echo="{% block a %}{{ text }}{% endblock %}"))
    with pytest.raises(UndefinedError):
        prompts.render("echo.a")


@pytest.mark.parametrize("name", ["other", "words.other"])
def test_an_unknown_name_is_an_error(tmp_path, name):
    with pytest.raises(KeyError):
        Prompts(folder(tmp_path, words="{% block a %}{% endblock %}")).render(name)


def test_the_version_changes_with_any_template_and_only_then(tmp_path):
    first = Prompts(folder(tmp_path, a="one", b="two")).version
    assert Prompts(tmp_path).version == first
    assert Prompts(folder(tmp_path, b="two!")).version != first
    assert Prompts(folder(tmp_path, b="two")).version == first
    assert Prompts(folder(tmp_path, c="")).version != first


def test_a_broken_template_is_named_when_the_folder_is_read(tmp_path):
    with pytest.raises(SettingsError, match=r"prompts/bad\.j2, line 2"):
        Prompts(folder(tmp_path, good="x", bad="fine\n{% if %}"))


def test_a_template_that_is_no_text_is_named(tmp_path):
    (tmp_path / "bad.j2").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"prompts/bad\.j2"):
        Prompts(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SettingsError):
        Prompts(tmp_path)


def test_the_shipped_templates_can_all_be_read():
    assert Prompts(ROOT / "prompts").render("answer.system")


def test_what_was_compiled_is_used_again_and_never_in_the_place_of_something_newer(tmp_path):
    texts, compiled = tmp_path / "texts", tmp_path / "compiled"
    texts.mkdir()
    assert Prompts(folder(texts, words="one {{ x }}"), compiled).render("words", x=1) == "one 1"
    (kept,) = compiled.iterdir()
    first = kept.stat().st_mtime_ns
    assert Prompts(texts, compiled).render("words", x=2) == "one 2" and kept.stat().st_mtime_ns == first
    assert Prompts(folder(texts, words="two {{ x }}"), compiled).render("words", x=3) == "two 3"
    kept.write_bytes(b"broken")
    assert Prompts(texts, compiled).render("words", x=4) == "two 4"


def test_where_nothing_can_be_kept_templates_are_compiled_each_time(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "texts").mkdir()
    assert Prompts(folder(tmp_path / "texts", words="one"), tmp_path / "file").render("words") == "one"
