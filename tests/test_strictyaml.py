from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from teapot.errors import ConfigError
from teapot.strictyaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_yaml, read_yaml


def _value(text: str) -> Any:
    return parse_yaml(text.encode(), "mix.config").value


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _value(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Decimal("0.1")), ("0.10", Decimal("0.10")), ("1.", Decimal(1)),
        ("-0.5", Decimal("-0.5")),
        ("1.0e-3", Decimal("0.0010")), ("2.5e+2", Decimal("2.5E+2")), (".5", Decimal("0.5")),
        ("2e-4", "2e-4"), ("1e3", "1e3"), ("0", 0), ("-7", -7), ("+7", 7),
        ("9223372036854775807", 2**63 - 1),
        ("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("yes", True), ("Off", False), ("true", True), ("FALSE", False), ("~", None),
        ("null", None), ("", None), ("nf4", "nf4"), ("'0.1'", "0.1"), ('"yes"', "yes"),
        ("!!str 5", "5"), ("1.2.3", "1.2.3"), ("v1", "v1"),
    ],
)  # fmt: skip
def test_a_scalar_becomes_the_plain_value_it_says(text: str, value: object) -> None:
    found = _value(f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, Decimal):
        assert str(found) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        ".inf", "-.Inf", ".nan", "1.0e+999", "0x1F", "0b1", "1_000", "1:30", "012", "9" * 40,
        "!!int x", "!!int ''", "!!int +", "!!float ''", "!!float .", "!!float e5", "!!bool banana",
        "!!bool ''", "!!null x",
        "!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "!!python/object:os.system x", "!own x",
        "!!seq x", "!!map [a]", "<<", "=", "{<<: {b: 1}}", "{? [1]: 2}", "{? {b: 1}: 2}",
        "{!!binary b: 1}", "{!!python/name:os.system b: 1}",
        r'"\ud800"', r'{"\udfff": 1}',
    ],
)  # fmt: skip
def test_what_is_no_plain_value_is_refused_with_its_place(text: str) -> None:
    (problem,) = _problems(f"ok: 1\na: {text}\n")
    assert problem.startswith("mix.config:2: ")


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "a: b: c", "\ta: 1", "a: 1\n---\nb: 2", "*a", "a: &x 1\nb: &x 2",
        "%YAML 2.0\n---\na", "%YAML 1." + "9" * 5000 + "\n---\na", "a: \x00", "[\n" * 5000,
        "- " * 5000, "? " * 5000, "{\n" * 5000, "!<%ff> a", "@", r'"\U00110000"', r'"\UFFFFFFFF"',
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_refused(text: str) -> None:
    assert _problems(text)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    for data in (b"a: \xff", "a: 1".encode("utf-16"), b"\xed\xa0\x80"):
        with pytest.raises(ConfigError):
            parse_yaml(data, "f")


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    text = "modules:\n  a: true\n  b: 1\n  'a': false\n"
    assert _problems(text) == ["mix.config:4: modules.a: the key stands twice, first on line 2"]


def test_merge_keys_are_refused() -> None:
    (problem,) = _problems("base: &b {a: 1}\nmix:\n  <<: *b\n")
    assert problem.startswith("mix.config:3: mix: ")


def test_all_faults_are_reported_at_once() -> None:
    text = "a: .inf\nb: !own 1\nc: [1, 0x1F]\na: 2\n"
    assert [problem.split(": ")[:2] for problem in _problems(text)] == [
        ["mix.config:1", "a"], ["mix.config:2", "b"], ["mix.config:3", "c[1]"],
        ["mix.config:4", "a"],
    ]  # fmt: skip


def test_an_alias_stands_for_its_value() -> None:
    assert _value("a: &x [1, {b: 2}]\nc: *x\n") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: *a}", "&a {b: [{c: *a}]}"])
def test_a_value_that_holds_itself_is_refused(text: str) -> None:
    assert "levels" in _problems(text)[0]


def test_an_alias_bomb_is_refused_before_it_is_unfolded() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
    )
    assert str(MAX_NODES) in _problems(bomb)[0]


def test_nesting_is_capped() -> None:
    assert _value("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert str(MAX_DEPTH) in _problems("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))[0]


def test_size_is_capped(tmp_path: Path) -> None:
    path = tmp_path / "mix.config"
    path.write_bytes(b"# " + b"x" * (MAX_BYTES - 2))
    assert read_yaml(path).value is None
    path.write_bytes(b"# " + b"x" * (MAX_BYTES - 1))
    with pytest.raises(ConfigError, match="1048577 bytes, at most 1048576 allowed"):
        read_yaml(path, "shown")


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(path)


def test_every_path_has_its_line_or_that_of_its_parent() -> None:
    text = "# mix\nmodules:\n  a/b: true\nlist:\n  - x\n\n  - k: 1\n    l:\n      2\n"
    document = parse_yaml(text.encode(), "f")
    lines: list[tuple[tuple[str | int, ...], int]] = [
        (("modules",), 2), (("modules", "a/b"), 3), (("list", 0), 5), (("list", 1), 7),
        (("list", 1, "k"), 7), (("list", 1, "l"), 8), (("modules", "none"), 2), (("none",), 2),
        (("list", 0, "none", "none"), 5),
    ]  # fmt: skip
    assert [(path, document.line(path)) for path, _ in lines] == lines
    problems = document.problems([(("list", 1, "l"), "two"), (("modules", "a/b"), "one")])
    assert [str(problem) for problem in problems] == [
        "f:3: modules.a/b: one",
        "f:8: list[1].l: two",
    ]


PIECES = [
    *"ab01.-+:?[]{}&*!|>%@`'\"#,~<=_eE \t\n\\", "- ", ": ", "? ", "\n  ", "---\n", "...\n", "&a ",
    "*a", "<<", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ", "!!seq ", "!!map ", "!!set ",
    "!!binary ", "!!timestamp ", "%YAML 1.1\n", "%TAG ! a\n", "\\U00110000", "\\ud800", "\\x",
    "\x85", "\u2028", "\ufeff", "\x00",
]  # fmt: skip


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@example(b"!!int")
@example(b'"\\UFFFFFFFF"')
@given(st.binary() | (st.text() | st.lists(st.sampled_from(PIECES)).map("".join)).map(str.encode))
def test_any_bytes_are_either_read_or_a_config_error(data: bytes) -> None:
    try:
        document = parse_yaml(data, "f")
    except ConfigError as error:
        assert error.problems
        str(error).encode()
    else:
        repr(document.value).encode()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18) + 1, 10**18 - 1) | st.text(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(), part, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@pytest.mark.parametrize("write", [yaml.safe_dump, lambda value: yaml.safe_dump(value, indent=4)])
@given(PLAIN)
def test_what_a_yaml_library_writes_is_read_back(write: Callable[[Any], str], value: Any) -> None:
    assert _value(write(value)) == value
