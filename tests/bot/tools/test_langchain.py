"""The tools in the hands of a chat model: the same schemas, the same results, the same errors."""

import pytest
from openai_server import OpenAIServer

from bot.answer import Question
from bot.bootstrap import open_advisor
from bot.errors import InputError
from bot.settings import read_settings
from bot.tools import TOOLS
from bot.tools.langchain import as_langchain

VAGUE = "and that southern licence thing my friend talks of"


def test_a_model_is_told_each_tool_with_its_schema(tables, today):
    made = as_langchain(tables, today, lambda *_: None)
    assert [tool.name for tool in made] == list(TOOLS)
    for tool, own in zip(made, TOOLS.values(), strict=True):
        assert tool.args.keys() == own.schema()["properties"].keys()


def test_what_a_model_looks_up_is_handed_on(tables, today):
    seen = []
    made = {tool.name: tool for tool in as_langchain(tables, today, lambda *found: seen.append(found))}
    text = made["program_finder"].invoke({"must": {"visa": "H-1B", "specialties": ["neurology"]}})
    assert "H-1B" in text and seen[0][0] == "program_finder"
    assert seen[0][1]["must"] == {"visa": "H-1B", "specialties": ["neurology"]}
    made["usmle_rules"].invoke({"attempt_dates": ["2025-01-02"]})
    assert seen[1][1]["attempt_dates"] == ["2025-01-02"]
    with pytest.raises(InputError, match="Nearest: Texas"):
        made["licensure_lookup"].invoke({"states": ["Texs"]})


async def test_a_table_that_the_model_looks_up_stands_in_the_answer(library):
    with OpenAIServer("good") as server:
        server.looks = [{"name": "licensure_lookup", "arguments": {"states": ["Texas"]}}]
        settings = read_settings(data=library, model="openai:scripted", model_base_url=server.url, model_timeout_s=20.0)
        advisor = await open_advisor(settings)
        try:
            answer = await advisor.answer(Question(text=VAGUE))
        finally:
            await advisor.close()
    assert [use.name for use in answer.tools] == ["licensure_lookup"]
    assert answer.results[0].rows[0].cells["state"] == "Texas"
    numbers = {c.n for c in answer.citations}
    assert set(answer.results[0].rows[0].citations) <= numbers
