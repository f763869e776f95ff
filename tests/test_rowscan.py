"""What compiled code makes of a row is, to the byte, what `records` makes of it.

`teapot._rows` is imported by name: where it was not built, these tests fail.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from teapot import _rows
from teapot.checks.builtin import builtin_checks
from teapot.index import ENTRY, FROM_ROW, NO_RECORD, SPOOLED
from teapot.interfaces import Block
from teapot.licensing import LicensePolicy
from teapot.model.module import Module, SourceSpec
from teapot.model.record import Dropped
from teapot.partmaker import PartMaker
from teapot.parts import Part
from teapot.records import RecordMaker, RecordOptions
from teapot.rowscan import PLACE

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def _maker(**declared: Any) -> RecordMaker:
    module = {
        "name": "t/m", "version": "1", "description": "d", "license": "MIT", "sources": [],
        **declared,
    }  # fmt: skip
    made = Module.from_dict(module)
    checks = builtin_checks(made.max_length)
    options = RecordOptions(licenses=LicensePolicy(["MIT", "CC-BY-4.0"]), checks=checks)
    return RecordMaker(made, SourceSpec(id="src", kind="jsonl"), options)


def _compare(data: bytes, **declared: Any) -> Part:
    """Return the part of a block, which must be the one that is made without compiled code."""
    fast = PartMaker(_maker(**declared))
    assert fast.common is not None
    slow = PartMaker(_maker(**declared), alone=True)
    found, expected = fast.of_block(Block(data)), slow.of_block(Block(data))
    for name in ("content", "record", "row", "characters", "id_hash"):
        usable = expected.entries["state"] != NO_RECORD
        numpy.testing.assert_array_equal(
            found.entries[name][usable], expected.entries[name][usable], err_msg=name
        )
    assert (found.entries["state"] == NO_RECORD).tolist() == (~usable).tolist()
    assert list(_lines(found)) == list(_lines(expected))
    assert found.ids.listed() == expected.ids.listed()
    assert found.odd == expected.odd
    return found


def _lines(part: Part) -> Iterator[tuple[bytes, str] | None]:
    for entry in part.entries:
        if entry["state"] == NO_RECORD:
            yield None
            continue
        assert entry["state"] == SPOOLED
        start = int(entry["offset"])
        line = part.lines[start : start + int(entry["length"])]
        yield line, part.licenses[entry["license"]]


def _common(row: dict[str, Any] | bytes, **declared: Any) -> bool:
    """Tell whether a row is made by compiled code alone."""
    data = row if isinstance(row, bytes) else json.dumps(row).encode()
    common = PartMaker(_maker(**declared)).common
    assert common is not None
    entries, _, _, _ = _rows.scan_block(data, common.rules.given, False)
    return bool(numpy.frombuffer(entries, dtype=ENTRY)["state"][0] == FROM_ROW)


def _row(*contents: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant") * len(contents)
    turns = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return {"messages": turns, **more}


# Pieces that texts, rows and bytes are put together from: what is special to JSON, to UTF-8, to
# white space, and to every mark, look-alike and control token, whole and cut.
PIECES = [
    "a", "Z", " ", "\n", "\t", "\r", "\x0b", "\x1c", "\x00", "\x7f", "\x85", "\xa0", "é",
    "ſ", "K", "ı", "漢", "🌊", "\u2028", "\u3000", "\u200b", '"', "\\", "/", "<", ">", "[",
    "]", "|", "◁", "＜", "＞", "<think>", "</think>", "<THINK>", "<thinking>", "< /think >",
    "<ant:think>", "[think]", "[/THINKING]", "<thought>", "<reaſoning>", "◁think▷", "<div>",
    "<|im_end|>", "<｜end｜>", "</s>", "<s>", "<pad>", "<SPECIAL_1>", "[INST]", "[/INST]",
    "<<SYS>>", "[TOOL_CALLS]", "<end_of_turn>", "think", "reasoning", "x < y", "[the]",
    "<thread>", "</p>",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)
THOUGHTFUL = st.tuples(TEXT, TEXT).map(lambda pair: f"<think>{pair[0]}</think>{pair[1]}")
CONTENT = TEXT | THOUGHTFUL
STYLES = st.sampled_from([("role", "content"), ("from", "value"), ("role", "value")])
ROLES = st.sampled_from(["user", "assistant", "system", "human", "gpt", "tool", "x"])
NAMES = st.sampled_from(["id", "category", "license", "tools", "system", "other", "conversations"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT
    | st.sampled_from(["MIT", "CC-BY-4.0", "GPL-3.0-only", "mit", "", "unknown", 10**18, -0.0]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3),
    max_leaves=4,
)  # fmt: skip


@st.composite
def _turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return turns, most of which are such as a row should have."""
    role, content = draw(STYLES)
    roles = ["user", "assistant"] if role == "role" else ["human", "gpt"]
    named = draw(st.sampled_from([roles, roles * 2, ["system", *roles]]) | st.lists(ROLES))
    turns = [{role: name, content: draw(CONTENT)} for name in named]
    for turn in turns:
        turn.update(draw(st.just({}) | st.dictionaries(st.sampled_from(["name", "x"]), VALUES)))
    return turns


ROWS = st.builds(
    lambda turns, more, key: {**more, key: turns},
    _turns() | VALUES, st.dictionaries(NAMES, VALUES, max_size=3),
    st.sampled_from(["messages", "messages", "conversations"]),
)  # fmt: skip
SHAPES = st.sampled_from([{}, {"ensure_ascii": False}, {"separators": (",", ":")}])
MODULES = st.fixed_dictionaries(
    {},
    optional={
        "license": st.sampled_from(["MIT", "mixed", "GPL-3.0-only"]),
        "reasoning": st.sampled_from(["allow", "require", "forbid", "strip"]),
        "repair": st.sampled_from([["double-close"], ["outer-whitespace"], ["empty-think"]]),
        "max_length": st.integers(1, 20),
        "ignore_message_keys": st.just(["x"]),
        "fields": st.sampled_from([{"messages": "conversations"}, {"id": "other"}, {}]),
    },
)


@settings(max_examples=400)
@given(st.lists(st.tuples(ROWS, SHAPES), min_size=1, max_size=4), MODULES)
def test_any_row_is_made_alike(rows: list[tuple[Any, Any]], declared: dict[str, Any]) -> None:
    lines = [json.dumps(row, **shape).encode("utf-8", "surrogatepass") for row, shape in rows]
    _compare(b"\n".join(lines), **declared)


@settings(max_examples=400)
@given(ROWS, SHAPES, st.data())
def test_any_broken_row_is_made_alike(row: Any, shape: Any, data: st.DataObject) -> None:
    line = json.dumps(row, **shape).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(0, len(line)))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(
        st.binary(max_size=3)
        | st.sampled_from(
            [b"\\", b'"', b"\\u00", b"\\ud83d", b"\r", b"\n", b"\xff", b"\xc0\xaf", b","]
        )
    )
    _compare(line[:at] + put + line[at + cut :])


@given(CONTENT, CONTENT)
@example("[the link](x)", "<div>1 < 2</div>")
def test_any_content_is_made_alike(question: str, answer: str) -> None:
    _compare(json.dumps(_row(question, answer)).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "row",
    [
        _row("q", "a"),
        _row("q", "<think>\nwell\n</think>\n\na"),
        _row('if (a < b) { <div class="x"> }', "#include <stdio.h> [see](this) \\ \t é 漢 🌊"),
        _row("q", "a", id="x", category="c", license=None, tools=None, extra={"a": [1, 2.5]}),
        _row("q", "a", id=7),
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"messages": [{"role": "system", "content": "s"}, USER, ANSWER, USER, ANSWER]},
    ],
)
def test_rows_as_they_are_nearly_always_are_common(row: dict[str, Any]) -> None:
    assert _common(row, license="MIT")


def test_a_licence_is_learnt_from_the_rows_of_a_block() -> None:
    rows = [_row("q", str(number), license="CC-BY-4.0") for number in range(50)]
    maker = PartMaker(_maker(license="mixed"))
    assert maker.common is not None
    part = maker.of_block(Block(b"\n".join(json.dumps(row).encode() for row in rows), 0))
    assert (part.entries["state"] == FROM_ROW).all()
    assert {part.licenses[code] for code in part.entries["license"]} == {"CC-BY-4.0"}


@pytest.mark.parametrize(
    "declared",
    [
        {"system_prompt": "s"},
        {"fields": {"reasoning": "thoughts"}},
        {"fields": {"user": "q", "assistant": "a"}},
        {"fields": {"id": "license"}},
        {"ignore_message_keys": ["role"]},
    ],
)
def test_modules_that_ask_more_of_rows_leave_none_to_compiled_code(declared: Any) -> None:
    assert PartMaker(_maker(**declared)).common is None


def test_a_check_of_a_plug_in_sees_every_row() -> None:
    class Looks:
        name = "looks"

        def run(self, record: Any) -> list[Any]:
            return []

    options = RecordOptions(licenses=LicensePolicy(None), checks=[*builtin_checks(), Looks()])
    module = Module.from_dict(
        {"name": "t/m", "version": "1", "description": "d", "license": "MIT", "sources": []}
    )
    assert PartMaker(RecordMaker(module, SourceSpec(id="s", kind="k"), options)).common is None


def test_offsets_are_those_of_the_rows_in_their_file() -> None:
    lines = [json.dumps(_row("q", text)).encode() for text in ("a", "b <think>", "c")]
    data = b"\n".join(lines)
    part = PartMaker(_maker()).of_block(Block(data, 1000))
    first, bad, last = part.entries
    assert (int(first["offset"]), int(first["length"])) == (1000, len(lines[0]))
    assert bad["state"] == NO_RECORD
    assert isinstance(part.odd[1], Dropped)
    assert int(last["offset"]) == 1000 + len(lines[0]) + len(lines[1]) + 2


def test_an_entry_is_the_same_on_both_sides() -> None:
    assert ENTRY.itemsize == _rows.ENTRY_BYTES
    assert PLACE.itemsize == _rows.PLACE_BYTES


def test_a_block_whose_ids_32_bits_might_not_count_is_refused() -> None:
    common = PartMaker(_maker()).common
    assert common is not None
    with mmap.mmap(-1, (1 << 29) + 1) as block, pytest.raises(ValueError, match="too large"):
        _rows.scan_block(block, common.rules.given, False)


@pytest.mark.parametrize("max_length", [1, 2, (1 << 63) - 1, 1 << 63, 1 << 64])
def test_any_length_may_be_the_longest(max_length: int) -> None:
    _compare(json.dumps(_row("q", "a")).encode(), max_length=max_length)
