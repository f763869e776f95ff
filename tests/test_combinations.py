"""Mixes by all keys at once: whatever a config combines, what is written holds together."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import teapot
from teapot import MixOptions, VerifyOptions
from teapot.errors import ConfigError, DataError
from teapot.ledger import read_ledger
from teapot.lock import Lock
from teapot.sources import jsonl as jsonl_source
from teapot.usecases.attribute import attribution
from teapot.usecases.diff import DiffOptions, diff
from teapot.usecases.locking import lock
from tests.support.inline import inline_engine
from tests.support.planted import PERSONAL, SECRETS
from tests.support.project import Row, chat_row, jsonl, write_config, write_module
from tests.support.verdicts import verdict, write_verdicts

_WORDS = [f"{one}{number}" for number in range(300) for one in ("list", "čaj", "茶", "herb")]
_SAID = random.Random(3)


def _text(count: int = 30) -> str:
    return " ".join(_SAID.choices(_WORDS, k=count))


TEXTS = [_text() for _ in range(6)]
EXAM = [_text(18), _text(18), "Which leaf gives the darkest and bitterest brew of all?"]
MAIL, TOKEN = PERSONAL["email"], SECRETS["github-pat"]


def _call(text: str) -> Row:
    arguments = json.dumps({"to": [text], "n": 10**13}, ensure_ascii=False)
    call = {"type": "function", "function": {"name": "send", "arguments": arguments}}
    turns = [
        {"role": "user", "content": "Write to them."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sent\u2028"}, {"role": "assistant", "content": "It is sent."},
    ]  # fmt: skip
    return {"id": "call", "conversations": turns}


def _pool() -> list[Row]:
    """Return rows of every kind: near and equal ones, leaks, findings, tools, and faulty ones."""
    rows = [chat_row("", text, f"Answer {text[:20]}") for text in TEXTS]
    rows += [chat_row("", f"{text.upper()}!", f"answer {text[:20]}…") for text in TEXTS[:3]]
    rows += [chat_row("", f"{text} indeed", f"Answer {text[:20]}") for text in TEXTS]
    rows += [chat_row("", f"Say {EXAM[0]}, please"), chat_row("", EXAM[2])]
    rows += [chat_row("", f"I am {MAIL}"), chat_row("", "Log in", f"Use {TOKEN} and {MAIL}")]
    rows += [chat_row("", f"{EXAM[1]} asks {MAIL}"), _call(MAIL), _call("nobody"), _call(TOKEN)]
    rows += [chat_row("", "Why?", "<think>It is"), chat_row("", "…"), chat_row("", "!")]
    rows += [chat_row("", f"Question {number}") for number in range(12)]
    return rows


POOL = _pool()
_TURNS = [
    {"role": "user", "content": f"An edited question of {MAIL}"},
    {"role": "assistant", "content": "Yes."},
]
VERDICTS: list[dict[str, Any]] = [
    {"kind": "keep"}, {"kind": "drop"}, {"kind": "edit", "messages": _TURNS},
    {"kind": "edit", "messages": [{"role": "user", "content": EXAM[0]}, _TURNS[1]]},
    {"kind": "move", "category": "tea"},
]  # fmt: skip
POLICIES = ["drop", "redact", "report", "off"]


@st.composite
def mixes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the rows of two modules, verdicts on them, and a config that says any of its keys."""
    place = st.integers(0, len(POOL) - 1)
    rows = {name: draw(st.lists(place, min_size=1, max_size=22)) for name in ("t/a", "t/b")}
    matches = st.sampled_from(["exact", "normalized", "near"])
    sets = {"set": "exam.jsonl", "rows": draw(st.sampled_from(["drop", "keep"]))}
    sets["overlap"] = draw(st.sampled_from(["drop", "report"]))
    keys: dict[str, Any] = {
        "duplicates": {"policy": draw(st.sampled_from(["keep", "drop"])), "match": draw(matches)},
        "split": {"validation": draw(st.sampled_from(["5%", "1/3", "90%"]))},
        "decontaminate": [sets], "epochs": {"orders": True, "count": draw(st.integers(1, 3))},
        "scan": {kind: draw(st.sampled_from(POLICIES)) for kind in ("secrets", "personal")},
        "curations": {"t/a": {
            "use": "published:v1", "unreviewed": draw(st.sampled_from(["keep", "drop"]))}},
        "output": {"shards": 2, "attribution": True},
    }  # fmt: skip
    keys["split"]["relatives"] = draw(matches)
    asked = draw(st.sets(st.sampled_from(sorted(keys))))
    amounts = st.sampled_from([True, {"repeat": "2.5"}, {"repeat": "0.4"}, {"rows": 3}])
    modules = {"t/a": draw(amounts), "t/b": draw(st.one_of(amounts, st.just({"share": "30%"})))}
    verdicts = draw(st.dictionaries(place, st.sampled_from(VERDICTS), max_size=8))
    return {
        "rows": rows, "verdicts": verdicts, "modules": modules,
        "keys": {key: keys[key] for key in sorted(asked)},
    }  # fmt: skip


def write(folder: Path, mix: Mapping[str, Any]) -> Path:
    """Write a mix as a project, and return its config."""
    for name, places in mix["rows"].items():
        rows = [{**POOL[place], "id": f"{name}-{n}"} for n, place in enumerate(places)]
        write_module(folder, name, rows, on_bad_row="drop")
    lines = [verdict(POOL[place], **said) for place, said in mix["verdicts"].items()]
    write_verdicts(folder / "modules/t/a.curation.v1.jsonl", *lines)
    (folder / "exam.jsonl").write_bytes(jsonl([{"question": text} for text in EXAM]))
    return write_config(folder, {}, modules=mix["modules"], **mix["keys"])


def composed(config: Path, name: str, held: Lock | None = None, **options: Any) -> Any:
    """Compose into a folder of its own."""
    (config.parent / name).mkdir()
    given = MixOptions(**{"keep_parts": False, "workers": 1, **options})
    return teapot.compose(config, given, output=config.parent / name / "mix.jsonl", lock=held)


def files_of(made: teapot.Composition) -> dict[str, bytes]:
    """Return every file that was written but the ledger, whose rows the manifest vouches for."""
    folder = made.paths.data.parent
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".parquet"}


def lines_of(made: teapot.Composition) -> Iterator[dict[str, Any]]:
    """Yield the records of the data, shard by shard."""
    for path in sorted(made.paths.data.parent.glob("mix*.jsonl")):
        if path != made.paths.validation:
            yield from map(json.loads, path.read_bytes().splitlines())


def check(config: Path, made: teapot.Composition) -> None:
    """Check what holds of every mix."""
    given = VerifyOptions(allow_unsigned=True, records=True, rebuild=True, config=config)
    (verification,) = teapot.verify(made.paths.manifest, options=given)
    assert verification.is_ok, [one for one in verification.results if one.status == "fault"]
    rows = [row for batch in read_ledger(made.paths.ledger) for row in batch]
    for module in made.report.modules:
        own = [row for row in rows if row["module"] == module.name]
        reasons = Counter(row["reason"] for row in own if row["reason"] not in (None, "not-drawn"))
        assert reasons == module.dropped
        assert len(own) == module.read == module.usable + sum(module.dropped.values())
    kept = {row["id"] for row in rows if row["lines"]}
    assert {line["id"] for line in lines_of(made)} == kept
    trained = {row["content_digest"] for row in rows if row["lines"]}
    held = [row for row in rows if row["reason"] == "held-out"]
    assert not trained & {row["content_digest"] for row in held}
    said = json.dumps([rows, *lines_of(made)], ensure_ascii=False)
    asked = json.loads(config.read_text()).get("scan", {})
    for kind, text in (("personal", MAIL), ("secrets", TOKEN)):
        assert asked.get(kind) not in ("drop", "redact") or text not in said
    attribution(made.paths.manifest)
    names = [row["id"] for row in rows]
    assert len(teapot.explain(made.paths.manifest, names)) == len(names)
    allowed = DiffOptions(verify=VerifyOptions(allow_unsigned=True))
    assert diff(str(made.paths.manifest), str(made.paths.manifest), allowed).is_same


REFUSALS = (
    "the mix has no line", "raise it", "too few for", "no usable row", "no usable record",
    "nothing says how long the mix is",
)  # fmt: skip
"""What a mix of few rows may be refused for."""


@settings(max_examples=8, deadline=None)
@given(mixes())
def test_whatever_is_combined_holds_and_nothing_but_its_rules_decide_it(
    mix: dict[str, Any],
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        config = write(Path(name), mix)
        try:
            made = composed(config, "first")
        except (ConfigError, DataError) as error:
            assert any(told in str(error) for told in REFUSALS), error
            return
        check(config, made)
        held = lock(config, MixOptions(keep_parts=False))
        assert files_of(composed(config, "locked", held, workers=2)) == files_of(made)
        patch.setattr(jsonl_source, "BLOCK_BYTES", 700)
        assert files_of(composed(config, "blocks", workers=2)) == files_of(made)
        engine = inline_engine(range_bytes=900, bucket_bytes=600)
        assert files_of(composed(config, "there", engine=engine)) == files_of(made)
