"""One mix made in every way there is: by threads, blocks, code and engines of all sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import MixOptions, rowscan
from teapot.ledger import read_ledger
from teapot.sources import jsonl as jsonl_source
from tests.support.inline import inline_engine


def composed(config: Path, name: str = "out", **options: Any) -> teapot.Composition:
    """Compose a config into a folder beside it, without the cache unless it is asked for."""
    (config.parent / name).mkdir(exist_ok=True)
    given = MixOptions(**{"keep_parts": False, **options})
    return teapot.compose(config, given, output=config.parent / name / "mix.jsonl")


def ledger_of(made: teapot.Composition) -> dict[str, Any]:
    """Return the ledger's rows by id."""
    return {row["id"]: row for batch in read_ledger(made.paths.ledger) for row in batch}


def files_of(made: teapot.Composition) -> tuple[bytes, bytes]:
    """Return the data and the manifest, which states all else."""
    return made.paths.data.read_bytes(), made.paths.manifest.read_bytes()


def assert_same_in_every_way(
    config: Path, monkeypatch: pytest.MonkeyPatch, *, compiled: bool, block_bytes: int = 300
) -> tuple[bytes, bytes]:
    """Compose a config again and again, compare all files, and return them."""
    first = files_of(composed(config, workers=1))
    monkeypatch.setattr(rowscan, "IS_COMPILED", compiled)
    for number, (workers, block) in enumerate([(1, 4 << 20), (2, block_bytes), (3, 64)]):
        monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", block)
        assert files_of(composed(config, str(number), workers=workers)) == first
        engine = inline_engine(range_bytes=40 * block, bucket_bytes=500)
        assert files_of(composed(config, f"there-{number}", engine=engine)) == first
    assert files_of(composed(config, "watched", watcher=lambda *_: None)) == first
    return first
