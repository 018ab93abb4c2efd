"""`ingest --watch`: whatever is saved in the knowledge folder is in the index seconds later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from watchfiles import awatch

from bot.errors import AdvisorError, InputError
from bot.settings import Settings
from ingest.build import Progress, Report, read_sources
from ingest.fetch import is_address
from ingest.run import opened, run_in

SETTLE_MS = 300
"""Editors save in several steps, and a checkout changes many files: as long as something still moves, nothing is read."""

Told = Callable[[Report | AdvisorError], None]


async def watch(
    settings: Settings, paths: Sequence[Path | str] = (), *, collection: str | None = None, allow_shrink: bool = False, told: Told,
    progress: Progress = lambda what, done, total: None, stop: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Brings the collection up to date, then again after each change of `paths` (none: of the knowledge folder), until `stop` is set.

    Args:
        told: gets what each run did, or why it changed nothing; a file that cannot be used does not end the watch.
    Raises:
        InputError: there is nothing that can be watched. SettingsError, WeightsError.
    """
    folders = _watched(settings, paths)
    async with opened(settings, progress) as workshop:

        async def once() -> None:
            try:
                sources = await read_sources(paths, settings.allowed_urls)
                told(await run_in(workshop, sources, collection=collection, allow_shrink=allow_shrink, progress=progress))
            except AdvisorError as error:
                told(error)

        # The watch begins before the first run, so that nothing saved during a run is lost; it says "nothing yet" first.
        began = False
        options: Any = {"debounce": 5 * SETTLE_MS, "step": SETTLE_MS, "rust_timeout": 500, "yield_on_timeout": True, "stop_event": stop}
        async for changes in awatch(*folders, **options):
            if changes or not began:
                began = True
                await once()


def _watched(settings: Settings, paths: Sequence[Path | str]) -> list[Path]:
    folders = [] if paths else [settings.knowledge]
    for path in paths:
        if is_address(path) or not Path(path).is_dir():
            raise InputError(f"'{path}' cannot be watched. --watch needs folders; leave it out for files and web addresses.")
        folders.append(Path(path))
    if not paths and not settings.knowledge.is_dir():
        raise InputError("There is no knowledge folder to watch. Check IMG_ADVISOR_KNOWLEDGE.")
    return folders
