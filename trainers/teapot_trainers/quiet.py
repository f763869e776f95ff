"""Keeps the libraries from talking: what is wrong is an error, and progress is reported by ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as library_logging


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence transformers' bars, its log, and what the libraries say of each other's calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        library_logging.disable_progress_bar()
        library_logging.set_verbosity_error()
        yield
