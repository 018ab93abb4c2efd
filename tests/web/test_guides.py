from __future__ import annotations

from urllib.parse import quote as percent

import httpx
import pytest
from bs4 import BeautifulSoup
from web_server import PASSING

from bot.answer import Answer
from web.guides import passage_url


def page(client: httpx.Client, path: str) -> BeautifulSoup:
    response = client.get(path)
    assert response.status_code == 200 and response.headers["content-type"] == "text/html; charset=utf-8"
    return BeautifulSoup(response.content, "lxml")


def test_the_list_has_every_guide(client: httpx.Client) -> None:
    soup = page(client, "/guides")
    links = {str(a["href"]) for a in soup.select(".cards a")}
    assert links == {"/guides/usmle/step-2-ck", "/guides/visas/j1-fees", "/guides/visas/h1b", "/guides/visas/hostile"}
    assert [h.get_text(strip=True) for h in soup.select(".shelf h2")] == ["Visas", "USMLE"]
    for link in links:
        assert page(client, link).find("h1")


def test_searching_needs_no_script(client: httpx.Client) -> None:
    soup = page(client, "/guides?q=passing+score+step+2+ck")
    first = soup.select_one(".hits .where")
    assert first is not None and not soup.find("script")
    assert str(first["href"]).startswith("/guides/usmle/step-2-ck?quote=")
    assert page(client, str(first["href"])).select_one("mark#quote")
    assert soup.select_one("input[name=q]")["value"] == "passing score step 2 ck"  # type: ignore[index]


@pytest.mark.parametrize("q", ["%00", "%E2%80%8B", "<script>alert(1)</script>", "x" * 2000, "%FF%FE", "' OR 1=1 --"])
def test_odd_searches_get_a_page(client: httpx.Client, q: str) -> None:
    response = client.get(f"/guides?q={q}")
    assert response.status_code == 200 and "<script>alert" not in response.text


def test_a_citation_leads_to_its_highlighted_words(client: httpx.Client) -> None:
    answer = Answer.model_validate(client.post("/api/v1/ask", json={"question": PASSING}).json())
    assert answer.citations
    for citation in answer.citations:
        assert citation.guide is not None
        url = passage_url(citation.guide.url, citation.quote)
        soup = page(client, url)
        mark = soup.select_one("mark#quote")
        assert mark is not None
        anchor = soup.find(id=url.partition("#")[2])
        assert anchor is not None and anchor.name in {"h2", "h3"}


def test_sources_say_what_they_are(client: httpx.Client) -> None:
    soup = page(client, "/guides/usmle/step-2-ck")
    (source,) = soup.select(".sources li")
    link = source.find("a")
    assert link is not None and link["href"] == "https://www.usmle.org/scores" and set(link["rel"]) == {"noopener", "nofollow"}
    text = source.get_text(" ", strip=True)
    assert "USMLE minimum passing scores" in text and "July 2025" in text and "Official source" in text and "Changes often" in text
    for note in soup.select("sup.note a"):
        assert soup.find(id=str(note["href"])[1:]) is not None
    for back in soup.select(".back a"):
        assert soup.find(id=str(back["href"])[1:]) is not None


def test_a_review_that_is_overdue_warns(client: httpx.Client) -> None:
    assert page(client, "/guides/usmle/step-2-ck").select_one(".badges .warn")
    assert not page(client, "/guides/visas/j1-fees").select_one(".badges .warn")


def test_the_contents_lead_to_the_sections(client: httpx.Client) -> None:
    soup = page(client, "/guides/usmle/step-2-ck")
    targets = [str(a["href"])[1:] for a in soup.select(".contents a")]
    assert targets == ["passing", "counts", "sources"]
    assert all(soup.find(id=target) for target in targets)


def test_a_row_is_highlighted(client: httpx.Client) -> None:
    quote = "| Consular application fee for the J-1 visa | 185 | undated page |"
    soup = page(client, f"/guides/visas/j1-fees?quote={percent(quote)}#sevis")
    assert [mark.get_text() for mark in soup.find_all("mark")] == ["Consular application fee for the J-1 visa", "185", "undated page"]


def test_words_that_are_gone_are_said_to_be_gone(client: httpx.Client) -> None:
    soup = page(client, "/guides/visas/h1b?quote=H-1B+lasts+forever.")
    assert soup.select_one(".notice") and not soup.find("mark")


def test_a_hostile_guide_is_only_text(client: httpx.Client) -> None:
    for path in ("/guides/visas/hostile", "/guides", "/guides?q=zanzibar", "/guides/visas/hostile?quote=%3Cscript%3Ealert(1)%3C/script%3E"):
        soup = page(client, path)
        assert not soup.find("script") and not soup.find("img"), path
        assert not [a for a in soup.find_all("a") if "javascript" in str(a.get("href", ""))], path


def test_an_address_with_odd_slashes_still_finds_its_guide(client: httpx.Client) -> None:
    assert client.get("/guides/visas/h1b/").status_code == 200
    assert client.get("/guides/", follow_redirects=True).status_code == 200
