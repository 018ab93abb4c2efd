"""The garbage collector, paused while things are loaded that stay.

Loading makes hundreds of thousands of objects and no garbage; searching them again and again costs a tenth of a start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
