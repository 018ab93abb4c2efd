"""The garbage collector, paused while things are loaded that stay, and rarer in a program of our own.

Loading makes hundreds of thousands of objects and no garbage; searching them again and again costs a tenth of a start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def rarer() -> None:
    """For a program's first lines. Python looks for garbage after every 700 new objects, a library's import makes thousands."""
    gc.set_threshold(20_000, 20, 50)


@contextmanager
def paused() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
