"""For programs of our own: the garbage collector, paused while things are loaded that stay, and rarer; memory that is given back; and
NumPy's threads, which are not wanted.

Loading makes hundreds of thousands of objects and no garbage; searching them again and again costs a tenth of a start.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def rarer() -> None:
    """For a program's first lines. Python looks for garbage after every 700 new objects, a library's import makes thousands."""
    gc.set_threshold(20_000, 20, 50)


def one_thread() -> None:
    """For a program's first lines, before NumPy is there: products of a few rows take no second thread, and one that waits for them takes
    40 MB. What the environment says holds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextmanager
def paused() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def given_back() -> None:
    """To the system, what was freed since: the C library of most Linux systems keeps it, 40 MB when an index has been read. Elsewhere
    nothing happens."""
    with suppress(OSError, AttributeError, TypeError):  # no such library, or another one
        ctypes.CDLL(None).malloc_trim(0)
