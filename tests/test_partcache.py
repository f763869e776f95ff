"""What an earlier run has judged is not judged again, and is never other than it would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import teapot
from teapot.cli.app import run as run_command
from teapot.errors import OutputError
from teapot.index import NO_RECORD
from teapot.interfaces import Block
from teapot.model.record import Dropped
from teapot.model.verification import Status
from teapot.partcache import _JUDGES, LEAST_BYTES, PartCache
from teapot.partfile import part_bytes, part_of
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.resolve import MixOptions
from teapot.usecases.verify import VerifyOptions
from tests.support.project import Row, chat_row, write_config, write_module
from tests.test_rowscan import ROWS, _maker

FILLING = "An answer that fills a line, as answers do. " * 40


def _rows(count: int) -> list[Row]:
    rows = [chat_row(f"a-{number}", f"Question {number}?", FILLING) for number in range(count)]
    rows[5] = {**rows[5], "license": "CC-BY-4.0"}
    rows[7] = {**rows[7], "license": "GPL-3.0-only"}  # which the config does not allow
    rows[9] = chat_row("a-9", "A question with </think></think> in it?")  # which is repaired
    rows[9]["conversations"][1]["content"] = "<think>so</think></think>An answer."
    rows[9]["conversations"][0]["content"] = "A question?"
    return rows


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_module(tmp_path, "t/a", _rows(6000), repair=["double-close"])
    return write_config(tmp_path, {"t/a": 1}, license={"allowed": ["MIT", "CC-BY-4.0"]})


@pytest.fixture
def cache(tmp_path: Path) -> PartCache:
    return PartCache(tmp_path / "cache")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the blocks that are judged from here on."""
    numbers: list[int] = []
    judging = PartMaker.of_block

    def watched(self: PartMaker, block: Block) -> Part:
        numbers.append(block.number)
        return judging(self, block)

    monkeypatch.setattr(PartMaker, "of_block", watched)
    return numbers


def _composed(config: Path, cache: PartCache, name: str) -> dict[str, bytes]:
    """Compose, and return the bytes of data and manifest, under the names of the first one."""
    folder = config.parent / name
    folder.mkdir()
    chosen = MixOptions(cache=cache.folder.parent, workers=2)
    made = teapot.compose(config, chosen, output=folder / "out.jsonl")
    return {path.name: path.read_bytes() for path in (made.paths.data, made.paths.manifest)}


def test_a_second_run_judges_nothing_and_makes_the_same_bytes(
    config: Path, cache: PartCache, judged: list[int]
) -> None:
    cold = _composed(config, cache, "cold")
    assert len(judged) > 1
    judged.clear()
    assert _composed(config, cache, "warm") == cold
    assert judged == []


def test_another_weight_judges_nothing(config: Path, cache: PartCache, judged: list[int]) -> None:
    _composed(config, cache, "cold")
    judged.clear()
    changed = write_config(
        config.parent, {"t/a": "1.5"}, license={"allowed": ["MIT", "CC-BY-4.0"]},
        training={"seed": 7},
    )  # fmt: skip
    warm = _composed(changed, cache, "warm")
    assert judged == []
    fresh = PartCache(config.parent / "other")
    assert _composed(changed, fresh, "fresh") == warm


@pytest.mark.parametrize("what", ["module", "licences", "rows"])
def test_whatever_decides_rows_has_them_judged_again(
    what: str, config: Path, cache: PartCache, judged: list[int]
) -> None:
    _composed(config, cache, "cold")
    judged.clear()
    allowed = ["MIT", "CC-BY-4.0"]
    if what == "module":
        write_module(config.parent, "t/a", _rows(6000), repair=["double-close"], version="2")
    elif what == "licences":
        config = write_config(config.parent, {"t/a": 1}, license={"allowed": [*allowed, "X11"]})
    else:
        write_module(config.parent, "t/a", _rows(6001)[1:], repair=["double-close"])
    _composed(config, cache, "changed")
    assert judged


def test_whatever_code_judges_rows_is_part_of_the_digest() -> None:
    code = "import sys, teapot.partmaker; print(*(n for n in sys.modules if n[:7] == 'teapot.'))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    names = {name.removeprefix("teapot.") for name in loaded.stdout.split()}
    tell_nothing = {"_batches", "batches", "errors", "interfaces", "sources", "version"}
    opens_files = {"sources.local"}
    judges = {name for name in names if {name, name.partition(".")[0]} & {*_JUDGES}}
    assert names - judges == tell_nothing | opens_files


def test_rows_that_were_appended_are_judged_alone(
    config: Path, cache: PartCache, judged: list[int]
) -> None:
    _composed(config, cache, "cold")
    judged.clear()
    write_module(config.parent, "t/a", _rows(9000), repair=["double-close"])
    _composed(config, cache, "longer")
    assert judged
    assert 0 not in judged


def test_an_altered_part_is_judged_again(config: Path, cache: PartCache, judged: list[int]) -> None:
    cold = _composed(config, cache, "cold")
    parts = sorted(cache.folder.glob("*/*.part"))
    for number, path in enumerate(parts):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data if number else data[:100])
    judged.clear()
    assert _composed(config, cache, "warm") == cold
    assert len(judged) == len(parts)


def test_a_run_that_was_killed_goes_on_from_what_it_judged(
    config: Path, cache: PartCache, judged: list[int]
) -> None:
    # Each row gets a system turn, so that it goes the long way and the run can be met half-way.
    write_module(config.parent, "t/a", _rows(24_000), system_prompt="Be brief.")
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.folder.parent.parent / "home")}
    kept = cache.folder.parent.parent / "home" / "teapot" / "parts"
    run = subprocess.Popen(
        [sys.executable, "-m", "teapot", "compose", config.name, "-o", "killed.jsonl", "-q",
         "--workers", "1", "--on-bad-row", "drop"],
        cwd=config.parent, env=environment,
    )  # fmt: skip
    while len(list(kept.glob("*/*.part"))) < 2:
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = len(list(kept.glob("*/*.part")))
    options = MixOptions(cache=kept.parent, workers=1, on_bad_row="drop")
    teapot.compose(config, options, output=config.parent / "killed.jsonl")
    # The last part may have been cut by the kill; it is told by its digest and judged again.
    left = len(list(kept.glob("*/*.part"))) - done
    assert 0 < left <= len(judged) <= left + 1


def test_a_cache_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts").chmod(0o777)
    with pytest.raises(OutputError, match="others may write to this cache"):
        PartCache(tmp_path)


def test_a_cache_that_cannot_be_written_to_changes_nothing(
    config: Path, cache: PartCache, judged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = _composed(config, cache, "cold")
    cache.clear()
    cache.folder.write_text("a file where the folder would be")
    assert _composed(config, cache, "again") == cold


def test_what_was_not_used_for_longest_is_removed_first(
    config: Path, cache: PartCache, tmp_path: Path
) -> None:
    _composed(config, cache, "cold")
    old, *new = sorted(cache.folder.glob("*/*.part"))
    os.utime(old, (1, 1))
    cache.prune(sum(path.stat().st_size for path in new))
    assert sorted(cache.folder.glob("*/*.part")) == new


def test_a_rebuild_believes_no_cache(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = PartCache(tmp_path / "teapot")
    _composed(config, cache, "cold")
    first = min(cache.folder.glob("*/*.part"), key=lambda path: path.stat().st_size)
    part = part_of(first.read_bytes())
    dropped = Dropped(reason="license", detail="planted", shown="planted", bad=False)
    part.entries["state"][0] = NO_RECORD
    first.write_bytes(part_bytes(replace(part, odd={**part.odd, 0: dropped})))
    made = teapot.compose(
        config, MixOptions(), output=config.parent / "mix.jsonl", signer=teapot.key_signer()
    )
    assert made.data.records == 5998  # of 6,000 one is not allowed, and one was planted away
    asked = VerifyOptions(rebuild=True, config=config)
    (report,) = teapot.verify(made.paths.data, options=asked)
    faults = [result.name for result in report.results if result.status is Status.FAULT]
    assert faults == ["rebuild"]


def test_small_sources_are_not_kept(tmp_path: Path, cache: PartCache) -> None:
    write_module(tmp_path, "t/a", _rows(100), on_bad_row="drop")
    config = write_config(tmp_path, {"t/a": 1}, license={"allowed": "all"})
    _composed(config, cache, "small")
    assert cache.facts().parts == 0


def test_info_tells_and_clear_removes(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _composed(config, PartCache(tmp_path / "teapot"), "cold")
    files = list((tmp_path / "teapot" / "parts").glob("*/*.part"))
    size = sum(path.stat().st_size for path in files)
    assert run_command(["cache", "info"]) == 0
    assert (
        capsys.readouterr().out
        == f"{tmp_path / 'teapot' / 'parts'}: {len(files)} parts, {size:,} bytes\n"
    )
    assert run_command(["cache", "clear"]) == 0
    assert f"removed {len(files)} parts, {size:,} bytes" in capsys.readouterr().out
    assert run_command(["cache", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"] == 0


@given(st.lists(ROWS, max_size=4), st.booleans())
def test_a_part_comes_back_as_it_was(rows: list[object], alone: bool) -> None:
    data = b"\n".join(json.dumps(row).encode("utf-8", "surrogatepass") for row in rows)
    part = PartMaker(_maker(repair=["double-close"]), alone=alone).of_block(Block(data, 5))
    back = part_of(part_bytes(part))
    assert back.entries.tobytes() == part.entries.tobytes()
    assert (back.licenses, back.ids.listed(), back.lines, dict(back.said)) == (
        part.licenses, part.ids.listed(), part.lines, dict(part.said),
    )  # fmt: skip
    assert dict(back.odd) == dict(part.odd)


def test_any_flipped_byte_of_a_part_is_noticed() -> None:
    data = b'{"messages": []}\n'
    part = PartMaker(_maker()).of_block(Block(data))
    assert [type(odd) for odd in part.odd.values()] == [Dropped]
    written = part_bytes(part)
    for place in range(len(written)):
        broken = bytearray(written)
        broken[place] ^= 0x40
        with pytest.raises(ValueError, match="is no part"):
            part_of(bytes(broken))
    assert len(written) < LEAST_BYTES
