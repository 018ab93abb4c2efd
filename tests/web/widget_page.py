"""A page of somebody else with the widget on it, and how tests find their way in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from host_sites import Site, site
from playwright.async_api import FrameLocator, Locator, Page
from web_server import PASSING, Server, serve

from bot.settings import Settings

CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

PAGE = """<!doctype html>
<html lang="{lang}" dir="{dir}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>A school</title></head>
<body><main><h1>A school</h1><p id="words">{words}</p><button id="help">Help</button>{body}</main>{scripts}</body></html>"""


def page_of(scripts: str, body: str = "", lang: str = "en", dir: str = "ltr") -> str:
    return PAGE.format(lang=lang, dir=dir, words="Words of the school. " * 40, body=body, scripts=scripts)


@dataclass(slots=True)
class World:
    """Our server, and sites around it: a school and a clinic that it allows, and one that it does not."""

    server: Server
    school: Site
    clinic: Site
    evil: Site

    @property
    def strict(self) -> str:
        """A policy that lets the loader in by its nonce, frames our server, and nothing else: no style, no connection, no markup."""
        return (
            f"default-src 'none'; script-src 'nonce-r4nd0m'; frame-src {self.server.url}; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )

    def tag(self, data: str = "") -> str:
        return f'<script async nonce="r4nd0m" src="{self.server.url}/widget/embed.js" {data}></script>'

    def page(self, *tags: str, before: str = "", body: str = "", lang: str = "en", dir: str = "ltr") -> str:
        """Puts a page of the school with a strict policy on; returns its address."""
        scripts = (f'<script nonce="r4nd0m">{before}</script>' if before else "") + "".join(tags or (self.tag(),))
        return self.school.put("/", page_of(scripts, body, lang, dir), self.strict)


@contextmanager
def world_around(settings: Settings) -> Iterator[World]:
    with ExitStack() as stack:
        school, clinic, evil = (stack.enter_context(site(name)) for name in ("school", "clinic", "evil"))
        server = stack.enter_context(serve(settings.model_copy(update={"sites": f"{school.origin},{clinic.origin}"})))
        yield World(server, school, clinic, evil)


def launcher(page: Page) -> Locator:
    return page.get_by_role("button", name="IMG Advisor")


def chat(page: Page, number: int = 0) -> FrameLocator:
    return page.locator("iframe").nth(number).content_frame


def box(page: Page, number: int = 0) -> Locator:
    return chat(page, number).get_by_role("textbox")


async def ask(page: Page, text: str = PASSING, number: int = 0) -> None:
    await box(page, number).fill(text)
    await chat(page, number).get_by_role("button", name="Send").click()
