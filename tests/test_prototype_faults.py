"""The faults of the public prototype that belong to composing; each must not come back.

Numbers are those of the design's list. Those that one command shows are also cases, under
`cases/prototype/`; the rest of the list belongs to verification, curation and training.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import teapot
from teapot import MixOptions
from teapot.errors import BadRowsError, ConfigError, DataError, DigestError, SourceError
from teapot.licensing import LicensePolicy
from teapot.model.record import Fault
from tests.support.project import chat_row, chat_rows, write_config, write_module

CONFIGS = Path(__file__).parent.parent / "configs"


def test_fault_01_failing_or_missing_module_never_vanishes(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    with pytest.raises(ConfigError, match="t/gone: no such module"):
        teapot.compose(write_config(tmp_path, {"t/a": 1, "t/gone": 1}))
    write_module(tmp_path, "t/bad", b"not json\n")
    with pytest.raises(BadRowsError, match="t/bad t-bad:1"):
        teapot.compose(write_config(tmp_path, {"t/a": 1, "t/bad": 1}))


def test_fault_02_no_license_key_is_no_wildcard_and_unknown_never_passes(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 1))
    for allowed in ({"allowed": []}, {}):
        with pytest.raises(ConfigError, match="license"):
            teapot.plan(write_config(tmp_path, {"t/a": 1}, license=allowed))
    for policy in (LicensePolicy(None), LicensePolicy(["unknown"])):
        assert isinstance(policy.judge("unknown"), Fault)


def test_fault_03_order_of_modules_leaves_the_sample_alone(tmp_path: Path) -> None:
    for name in ("t/a", "t/b"):
        write_module(tmp_path, name, chat_rows(name[-1], 30))
    made = [
        teapot.compose(write_config(tmp_path, weights), output=tmp_path / "out.jsonl")
        for weights in ({"t/a": 0.5, "t/b": 0.5}, {"t/b": 0.5, "t/a": 0.5})
    ]
    assert made[0].data == made[1].data


@pytest.mark.parametrize(
    ("weight", "words"), [(-3, "not below 0"), ("abc", "expected a number such as 0.3 or 2")]
)
def test_fault_04_weights_that_mean_nothing_are_refused(
    weight: float | str, words: str, tmp_path: Path
) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    with pytest.raises(ConfigError, match=words):
        teapot.plan(write_config(tmp_path, {"t/a": weight}))


def test_fault_04_weight_zero_keeps_no_row_and_a_misspelt_module_is_named(tmp_path: Path) -> None:
    for name in ("t/a", "t/b"):
        write_module(tmp_path, name, chat_rows(name[-1], 3))
    assert teapot.plan(write_config(tmp_path, {"t/a": 1, "t/b": 0})).report.total.lines == 3
    config = write_config(tmp_path, {"t/a": 1}, training={"weights": {"t/aa": 0.5}})
    with pytest.raises(ConfigError, match=r"not in this config; did you mean t/a\?"):
        teapot.plan(config)


def test_fault_05_two_files_for_one_module_are_an_error_not_a_choice(tmp_path: Path) -> None:
    path = write_module(tmp_path, "t/a", chat_rows("a", 3))
    path.with_suffix(".yml").write_text(path.read_text())
    with pytest.raises(ConfigError, match="two files for one module"):
        teapot.plan(write_config(tmp_path, {"t/a": 1}))


def test_fault_06_source_option_decides_what_is_read(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    config, other = write_config(tmp_path, {"t/a": 1}), tmp_path / "other.jsonl"
    other.write_text(json.dumps(chat_row("other", "Other?")) + "\n")
    planned = teapot.plan(config, MixOptions(sources={"t-a": str(other)}))
    assert planned.report.total.lines == 1
    with pytest.raises(SourceError, match="no file at"):
        teapot.plan(config, MixOptions(sources={"t-a": str(tmp_path / "gone.jsonl")}))


@pytest.mark.parametrize(
    ("answer", "code"),
    [("<think>a</think>b<think>c</think>d", "think-second-block"), ("<think>a", "think-unclosed")],
)
def test_fault_07_broken_thoughts_never_pass(answer: str, code: str, tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", [chat_row("x", "Why?", answer)])
    with pytest.raises(BadRowsError, match=code):
        teapot.plan(write_config(tmp_path, {"t/a": 1}))


def test_fault_09_shipped_mix_passes_its_own_check(tmp_path: Path) -> None:
    made = teapot.compose(CONFIGS / "demo.config", output=tmp_path / "demo.jsonl")
    assert teapot.check_file(made.paths.data, pytest.fail).faulty == 0


def test_fault_12_two_runs_make_one_manifest(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    config = write_config(tmp_path, {"t/a": 1})
    made = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        folder.mkdir()
        paths = teapot.compose(config, output=folder / "out.jsonl").paths
        made.append(paths.manifest.read_bytes())
    assert made[0] == made[1]


def test_fault_13_a_run_that_fails_leaves_the_old_output(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", chat_rows("a", 3))
    config, output = write_config(tmp_path, {"t/a": 1}), tmp_path / "out.jsonl"
    before = teapot.compose(config, output=output).paths.data.read_bytes()
    write_module(tmp_path, "t/a", b'{"cut short')
    with pytest.raises(BadRowsError):
        teapot.compose(config, output=output)
    assert output.read_bytes() == before


def test_fault_15_a_bad_line_is_named_by_source_and_row(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", b'{"messages": []}\n[1]\n')
    with pytest.raises(BadRowsError) as caught:
        teapot.plan(write_config(tmp_path, {"t/a": 1}))
    assert [problem.where for problem in caught.value.problems] == ["t/a t-a:1", "t/a t-a:2", ""]


def test_fault_16_another_digest_is_an_error(tmp_path: Path) -> None:
    sources = [{"id": "t-a", "kind": "jsonl", "path": "t-a.jsonl", "sha256": "0" * 64}]
    write_module(tmp_path, "t/a", chat_rows("a", 3), sources=sources)
    with pytest.raises(DigestError, match=f"expected {'0' * 64}"):
        teapot.plan(write_config(tmp_path, {"t/a": 1}))


def test_module_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    write_module(tmp_path, "t/a", [{**chat_row("x", "Why?"), "license": "GPL-3.0-only"}])
    config = write_config(tmp_path, {"t/a": 1}, license={"allowed": ["MIT"]})
    with pytest.raises(DataError, match=r"no usable row of 1 read \(1 license\)"):
        teapot.plan(config)
