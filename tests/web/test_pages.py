"""The guides as a site: charts, states and territories, "ask about this", print, and axe-core over all of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from axe import violations
from lxml import etree
from playwright.async_api import Browser, Page
from web_server import Server, serve, write_knowledge

from bot.settings import ROOT, read_settings
from ingest.run import run
from ingest.tables import StateRow, read_tables

pytestmark = pytest.mark.browser
in_the_module = pytest.mark.asyncio(loop_scope="module")
GUIDE = "match/charting-outcomes"


@pytest.fixture(scope="module")
def site(library: Path) -> Iterator[Server]:
    """All guides."""
    with serve(read_settings(data=library, log_level="error", visitor_requests_per_minute=100_000)) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(site: Server, browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(base_url=site.url, java_script_enabled=True, reduced_motion="reduce")
    yield await context.new_page()
    await context.close()


def test_every_state_and_territory_has_an_entry(site: Server) -> None:
    rows = [row.cells for row in read_tables(ROOT / "knowledge", []) if isinstance(row.cells, StateRow)]
    with site.client() as client:
        html = client.get("/guides").text
        links = dict(re.findall(r'<li><a href="(/guides/[^"]+)">([^<]+?) <span class="count">[A-Z]{2}</span>', html))
        assert sorted(links.values()) == sorted(row.state for row in rows)
        for url in links:
            path, _, anchor = url.partition("#")
            body = client.get(path)
            assert body.status_code == 200 and (not anchor or f'id="{anchor}"' in body.text), url
        for row in rows:
            for typed in (row.state, row.usps, row.usps.lower()):
                found = re.search(r'class="place-hit"><a href="([^"]+)"', client.get("/guides", params={"q": typed}).text)
                assert found and links[found[1]] == row.state, typed


def test_charts_are_pictures_with_a_policy_of_their_own(site: Server) -> None:
    with site.client() as client:
        overview = client.get("/guides/charts").text
        names = re.findall(r'src="(/guides/charts/[^"]+)"', overview)
        assert len(names) == 3
        for name in names:
            got = client.get(name)
            assert got.headers["content-type"] == "image/svg+xml"
            assert "script" not in got.headers["content-security-policy"] and "default-src 'none'" in got.headers["content-security-policy"]
            etree.fromstring(got.content)
        assert "unknown" in overview and overview.count("<table>") == 3
        assert client.get("/guides/charts/none.svg").status_code == 404


def test_a_table_that_breaks_leaves_the_charts_as_they_were(tmp_path: Path) -> None:
    knowledge = write_knowledge(tmp_path / "knowledge")
    (knowledge / "data").mkdir(exist_ok=True)
    table = knowledge / "data" / "states.csv"
    shipped = (ROOT / "knowledge" / "data" / "states.csv").read_text(encoding="utf-8").split("\n")
    lines = [shipped[0], next(line for line in shipped if line.startswith("Guam,")).replace("row-state-guam", "usmle-minimum")]
    settings = read_settings(knowledge=knowledge, data=tmp_path / "data", log_level="error")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    asyncio.run(run(settings))
    with serve(settings) as server, server.client() as client:
        good = client.get("/guides/charts/pathway-states.svg").raise_for_status().text
        assert "Guam: Unknown" in good
        table.write_text("\n".join(lines).replace(",unknown,", ",maybe,", 1) + "\n", encoding="utf-8")
        assert client.get("/guides/charts/pathway-states.svg").text == good
        assert client.get("/guides/charts/match-rates.svg").status_code == 404
        table.write_text("\n".join(lines).replace("Guam,", "Guahan,") + "\n", encoding="utf-8")
        assert "Guahan: Unknown" in client.get("/guides/charts/pathway-states.svg").text


@in_the_module
async def test_a_chart_is_seen_and_said(page: Page) -> None:
    await page.goto(f"/guides/{GUIDE}")
    picture = page.locator("#chart-match-rates img")
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    await page.get_by_text("The same as a table").first.click()
    row = page.locator("#chart-match-rates tbody tr").first
    assert re.search(r"\d%", await row.inner_text())


@in_the_module
async def test_ask_about_this_fills_the_chat_and_sends_nothing(page: Page, site: Server) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" and "/messages" in request.url else None)
    await page.goto(f"/guides/{GUIDE}")
    links = await page.locator(".ask-this a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    headings = await page.locator(".text h2, .text h3").count()
    assert len(links) == headings > 3 and all(link.startswith("/demo?ask=") for link in links)
    await page.locator(".ask-this a").first.click()
    await page.wait_for_timeout(1500)
    typed = [await field.input_value() for frame in page.frames for field in await frame.locator("textarea").all()]
    assert any("Charting Outcomes" in text for text in typed), typed
    assert sent == []


@in_the_module
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
async def test_nothing_keeps_anybody_out(page: Page, scheme: str, width: int) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": width, "height": 900})
    for path in ("/guides", "/guides?q=J-1%20fee", "/guides/charts", f"/guides/{GUIDE}", "/guides/states/other-jurisdictions"):
        await page.goto(path)
        assert await violations(page) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


@in_the_module
async def test_print_shows_where_sources_are_and_hides_what_paper_cannot_do(page: Page) -> None:
    await page.goto(f"/guides/{GUIDE}")
    await page.emulate_media(media="print")
    for hidden in (".top", ".contents", ".ask-this", ".actions"):
        assert not await page.locator(hidden).first.is_visible(), hidden
    shown = await page.locator(".source-title a").first.evaluate("link => getComputedStyle(link, '::after').content")
    assert "http" in shown
    assert (await page.pdf())[:4] == b"%PDF"


def test_the_pages_need_no_script(site: Server) -> None:
    assert "<script" not in httpx.get(f"{site.url}/guides/{GUIDE}").text
