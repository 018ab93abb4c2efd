"""axe-core over a page in a real browser: what keeps people who use a keyboard, a magnifier or a screen reader out."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page


async def violations(page: Page, **options: Any) -> list[str]:
    """Each rule that the page breaks, with the places; an empty list when there is none. `options` go to `axe.run`.

    Animations and transitions are ended first: a color half-way there is nobody's color.
    """
    await page.evaluate("document.getAnimations().forEach((animation) => { try { animation.finish(); } catch { animation.cancel(); } })")
    found = await Axe().run(page, options={"resultTypes": ["violations"], **options})
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']} at {', '.join(' '.join(map(str, node['target'])) for node in rule['nodes'][:5])}"
        for rule in found.response["violations"]
    ]
