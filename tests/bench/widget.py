"""`make bench-widget`: what the widget costs the page it is on, as Lighthouse would ask: layout shift, and main-thread work at load.

A school's page is loaded with and without the loader in turns, each time in a browser without a cache, on the processor as it is and slowed
down four times (Lighthouse's phone). Figures are medians; the difference is what the widget costs.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright
from web_server import write_knowledge
from widget_page import CHROMIUM, World, page_of, world_around

from bot.settings import read_settings
from ingest.run import run

LOADS = 15
GOAL_MS = 50
LABELS = {"work": "main-thread work", "script": "of it, scripts", "longest": "longest task > 50", "shift": "layout shift"}
SHIFTS = """() => new Promise((done) => { let sum = 0, longest = 0;
  const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({type, buffered: true});
  watch('layout-shift', (entry) => { sum += entry.value });
  watch('longtask', (entry) => { longest = Math.max(longest, entry.duration) });
  setTimeout(() => done([sum, longest]), 800); })"""


async def load(browser: Browser, address: str, slowdown: int) -> dict[str, float]:
    context = await browser.new_context()
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("Performance.enable")
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    await page.goto(address, wait_until="load")
    shift, longest = await page.evaluate(SHIFTS)
    found: dict[str, Any] = {item["name"]: item["value"] for item in (await devtools.send("Performance.getMetrics"))["metrics"]}
    await context.close()
    return {"work": 1000 * found["TaskDuration"], "script": 1000 * found["ScriptDuration"], "shift": shift, "longest": longest}


async def measure(world: World) -> list[str]:
    bare = world.school.put("/bare", page_of(""))
    with_it = world.school.put("/with", page_of(world.tag()))
    lines = [f"{'':22}{'without':>10}{'with':>10}{'cost':>10}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        for slowdown in (1, 4):
            found: dict[str, list[dict[str, float]]] = {bare: [], with_it: []}
            for _ in range(LOADS):
                for address, results in found.items():
                    results.append(await load(browser, address, slowdown))
            for name, unit in (("work", "ms"), ("script", "ms"), ("longest", "ms"), ("shift", "")):
                without, using = (statistics.median(result[name] for result in found[address]) for address in (bare, with_it))
                goal = ""
                if name == "work":
                    goal = f"  {'ok' if using - without < GOAL_MS else 'HIGH'} under {GOAL_MS} ms"
                elif name == "shift":
                    goal = f"  {'ok' if max(result[name] for result in found[with_it]) == 0 else 'HIGH'} always 0"
                lines.append(f"{LABELS[name]:18}{f'{slowdown}×':>4}{without:>10.2f}{using:>10.2f}{using - without:>10.2f} {unit}{goal}")
        await browser.close()
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings = read_settings(knowledge=write_knowledge(folder / "knowledge"), data=folder / "data", log_level="error")
        asyncio.run(run(settings))
        with world_around(settings) as world:
            print("\n".join(asyncio.run(measure(world))))


if __name__ == "__main__":
    main()
