"""Where downloads are kept that no library keeps for us."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `$XDG_CACHE_HOME/teapot`, by default `~/.cache/teapot`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teapot"
