"""How well the last message of a dialogue is understood, beside the same question written out by hand."""

import pytest

from bot.bootstrap import open_advisor
from bot.dialogues import measure_dialogues, read_dialogues
from bot.errors import DocumentError
from bot.evaluate import GOLDEN
from bot.settings import ROOT, read_settings

DIALOGUES = read_dialogues(GOLDEN / "dialogues")


def test_there_are_enough_dialogues_and_their_places_exist():
    assert len(DIALOGUES) >= 120
    for place in {place for dialogue in DIALOGUES for place in dialogue.at}:
        slug, _, anchor = place.partition("#")
        assert f"{{#{anchor}}}" in (ROOT / "knowledge" / "guides" / f"{slug}.md").read_text(), place


async def test_a_follow_up_finds_what_the_whole_question_finds(library):
    advisor = await open_advisor(read_settings(data=library))
    try:
        found = await measure_dialogues(advisor, DIALOGUES)
    finally:
        await advisor.close()
    assert found["recall@5"] >= found["standalone recall@5"] - 0.03 and found["recall@5"] >= 0.95, found["lost"]
    assert found["held_out"]["recall@5"] >= found["held_out"]["standalone recall@5"] - 0.05, found["lost"]


@pytest.mark.parametrize("text", ["- {says: [one], asks: whole question, at: [a#b]}", "- {says: [a, b], at: [a#b]}", ": : :"])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(DocumentError, match=r"broken\.yaml"):
        read_dialogues(tmp_path)
