"""`make bench-console`: how long the server takes for each page of the console over made-up conversations.

Each page is fetched some times by one advisor; the time is that of the whole request, as a client on the same machine sees it. What the
processor worked, client and all, tells more where the machine is busy with other things.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from console_pages import add_account, sign_in
from web_server import Server, serve

from bot.bootstrap import open_advisor
from bot.learning import Learning
from bot.seed import seed
from bot.settings import Settings, read_settings
from ingest.run import run
from web.console.frame import NAV

AIM_MS = 100.0
INBOX = (
    "", "?show=new", "?show=assigned", "?show=again", "?show=answered", "?show=closed", "?show=all", "?advisor=me", "?channel=slack",
    "?priority=high", "?language=es", "?site=demo", "?q=visa", "?q=visa&show=all", "?q=h-1b+step+3&show=all", "?q=the+of+and&show=all",
    "?q=%22duration+of+status%22&show=all", "?q=zzzz&show=all", "/paste",
)  # fmt: skip


LINK = re.compile(r'(?:href|src)="(/console/[^"#]+)')
LINK_TO_ITEM = re.compile(r'href="(/console/items/[^"]+)"')
LEFT_OUT = re.compile(r"/console/(?:sso|log|static|audit/export|numbers/export|coverage/export)|\.(?:css|js|eml)\b")


def pages(client: httpx.Client) -> list[str]:
    """Every room, the inbox in many views, its deepest page, and one page of each kind that links lead to from there."""
    found = [f"/console/inbox{view}" for view in INBOX]
    found += [path for _, path, _ in NAV if path != "/console/inbox"]
    path = "/console/inbox?show=all"
    for _ in range(40):
        following = re.search(r'rel="next" href="([^"]+)"', client.get(path).text)
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
    found.append(path)
    found += LINK_TO_ITEM.findall(client.get("/console/inbox?show=answered").text)[:1]  # with its versions
    kinds = {kind_of(path) for path in found}
    for path in found:  # grows as it is read
        for link in LINK.findall(client.get(path).text):
            link = html.unescape(link)
            if kind_of(link) not in kinds and not LEFT_OUT.search(link):
                kinds.add(kind_of(link))
                found.append(link)
    return found


def kind_of(path: str) -> str:
    """A page's address without what names one thing of many."""
    where, _, query = path.partition("?")
    where = re.sub(r"/(?:[0-9a-f]{8,}|\d+)(?=/|$)", "/*", where)
    if where == "/console/inbox" or not query:
        return where
    return f"{where}?{'&'.join(sorted(part.partition('=')[0] for part in query.split('&')))}"


def measured(server: Server, times: int) -> dict[str, dict[str, float]]:
    account = add_account(server, "admin", name="Bench")
    result: dict[str, dict[str, float]] = {}
    server.run(Learning(server.state.advisor).catch_up())  # type: ignore[arg-type]
    with server.client(headers={"Accept": "text/html"}) as client:
        sign_in(client, account)
        for path in pages(client):
            took: list[float] = []
            status = client.get(path).status_code  # the first one reads templates and fills caches
            began = time.process_time()
            for _ in range(times):
                start = time.perf_counter()
                client.get(path)
                took.append(1000 * (time.perf_counter() - start))
            took.sort()
            cpu = 1000 * (time.process_time() - began) / times
            p95 = took[int(0.95 * (len(took) - 1))]
            result[path] = {"status": status, "cpu": cpu, "median": statistics.median(took), "p95": p95, "max": took[-1]}
    return result


def settings_for(data: Path | None, conversations: int, folder: Path) -> Settings:
    settings = read_settings(data=data or folder, log_level="error")
    if data is None:
        asyncio.run(run(settings))
        asyncio.run(_seeded(settings, conversations))
    return settings


async def _seeded(settings: Settings, conversations: int) -> None:
    def show(what: str, done: int, total: int) -> None:
        print(f"\r{what} {done} of {total}  ", end="", file=sys.stderr)

    advisor = await open_advisor(settings)
    try:
        await seed(advisor, conversations, progress=show)
    finally:
        await advisor.close()
        print(file=sys.stderr)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--conversations", type=int, default=10_000)
    arguments.add_argument("--data", type=Path, help="a data folder that is seeded already, in the place of a new one")
    arguments.add_argument("--times", type=int, default=20)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="console-") as folder:
        with serve(settings_for(given.data, given.conversations, Path(folder))) as server:
            found = measured(server, given.times)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'processor':>9} {'median':>8} {'p95':>8} {'max':>8}  milliseconds; aim: {AIM_MS:.0f}")
    for path, row in found.items():
        mark = "" if row["p95"] < AIM_MS and row["status"] == 200 else f"  <-- {row['status']:.0f}"
        print(f"{row['cpu']:9.1f} {row['median']:8.1f} {row['p95']:8.1f} {row['max']:8.1f}  {path[:90]}{mark}")


if __name__ == "__main__":
    main()
