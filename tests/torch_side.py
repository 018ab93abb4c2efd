"""The environment with torch, and the mark of tests that need it."""

from __future__ import annotations

import os

import pytest

from bot.settings import ROOT

PYTHON = ROOT / ".venv-st" / "bin" / "python"
# `make test` installs it; who calls pytest by hand may not have it. Where a change is judged, a missing install is a failure.
needs_torch = pytest.mark.skipif(not PYTHON.exists() and not os.environ.get("CI"), reason="torch is not installed: make install-st")
