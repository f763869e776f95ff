"""`teapot encode`: ids, labels and their account from a verified data file, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import ipc

import teapot
from teapot.cli.app import run
from teapot.encodedfile import read_encoded
from teapot.errors import DataError, DigestError
from teapot.plugins import load_trainer
from teapot_trainers.encoding import encode_row
from tests.support.compositions import compose, make
from tests.support.environment import own_key
from tests.support.project import chat_row, chat_rows, write_config, write_module
from tests.support.tokenizers import tokenizer_json, tokenizer_of

Say = Callable[..., tuple[int, str, str]]
ROWS, ACCOUNT = Path("mix.apertus.arrow"), Path("mix.apertus.encoded.json")
APERTUS = ("mix.jsonl", "--base", "apertus", "--tokenizer", ".")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a tokenizer for Apertus and one for ChatML."""
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    Path("tokenizer.json").write_text(tokenizer_json(load_trainer("apertus")[0].base))
    Path("chatml.json").write_text(tokenizer_json(load_trainer("chatml")[0].base))


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run(["encode", *arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


def account(path: Path = ACCOUNT) -> Any:
    return json.loads(path.read_bytes())


def made_of(*rows: dict[str, Any]) -> teapot.Composition:
    """Compose rows of one module."""
    write_module(Path(), "t/one", list(rows))
    return compose(write_config(Path(), {"t/one": 1}))


def test_each_line_is_encoded_with_its_number_and_digest(say: Say) -> None:
    made = make(Path())
    code, out, _ = say(*APERTUS)
    assert code == 0 and out.startswith("rows      mix.apertus.arrow  27 rows\n")
    lines = made.paths.data.read_bytes().removesuffix(b"\n").split(b"\n")
    trainer, tokenizer = load_trainer("apertus")[0], tokenizer_of("apertus")
    rows = list(read_encoded(ROWS, account()["rows_sha256"]))
    assert [row.line for row in rows] == list(range(1, len(lines) + 1))
    assert [row.record_digest for row in rows] == [sha256(line).digest() for line in lines]
    for row, line in zip(rows, lines, strict=True):
        rendered = trainer.render(json.loads(line)["messages"])
        assert row.encoded == encode_row(tokenizer, rendered)


def test_the_account_adds_up(say: Say) -> None:
    made = make(Path())
    say(*APERTUS)
    told = account()
    rows = [row.encoded for row in read_encoded(ROWS, told["rows_sha256"])]
    assert told["rows"] == len(rows) == made.data.records
    assert told["tokens"] == sum(len(row.ids) for row in rows)
    assert told["supervised"] == sum(row.supervised for row in rows)
    lengths = sorted(len(row.ids) for row in rows)
    assert (told["lengths"]["min"], told["lengths"]["max"]) == (lengths[0], lengths[-1])
    assert told["lengths"]["median"] == lengths[(len(lengths) - 1) // 2]
    for key in ("rows", "tokens", "supervised", "thoughts"):
        assert told[key] == sum(part[key] for part in told["modules"].values())
    assert told["thoughts"] == 1  # the repaired row
    assert told["manifest_sha256"] == made.manifest_sha256
    assert told["encoder"]["tokenizer_sha256"] == tokenizer_of("apertus").sha256


def test_the_digest_is_of_the_rows_as_the_format_says(say: Say) -> None:
    make(Path())
    say(*APERTUS)
    digest = sha256()
    with ipc.open_file(str(ROWS)) as file:
        for row in file.read_all().to_pylist():
            numbers = row["line"], len(row["ids"])
            digest.update(numbers[0].to_bytes(8, "little") + row["record_digest"])
            digest.update(numbers[1].to_bytes(8, "little"))
            for number in (*row["ids"], *row["labels"]):
                digest.update(number.to_bytes(4, "little", signed=True))
    assert digest.hexdigest() == account()["rows_sha256"]


def test_what_was_made_before_is_kept_and_what_was_changed_is_made_again(say: Say) -> None:
    make(Path())
    say(*APERTUS)
    first, before = ROWS.stat().st_ino, ROWS.read_bytes()
    assert "(made before)" in say(*APERTUS)[1]
    assert ROWS.stat().st_ino == first
    ROWS.write_bytes(before[:-9] + b"\0" + before[-8:])
    damaged = bytearray(before)
    damaged[len(before) // 2] ^= 1
    ROWS.write_bytes(damaged)
    assert "(made before)" not in say(*APERTUS)[1]
    assert ROWS.read_bytes() == before
    key = account()["key"]
    assert "(made before)" not in say(*APERTUS, "--system-prompt", "Be brief.")[1]
    assert account()["key"] != key


def test_an_overlong_row_fails_or_is_dropped_and_never_cut(say: Say) -> None:
    made_of(*chat_rows("a", 3), chat_row("long", "why? " * 300))
    (line,) = [
        number
        for number, text in enumerate(Path("mix.jsonl").read_bytes().split(b"\n"), start=1)
        if b'"long"' in text
    ]
    code, out, err = say(*APERTUS, "--max-length", "300")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: mix.jsonl:{line}: has ") and "more than 300 (t/one)" in err
    assert not ROWS.exists() and not ACCOUNT.exists()
    code, out, _ = say(*APERTUS, "--max-length", "300", "--on-bad-row", "drop")
    assert code == 0 and f"dropped   line {line} (t/one): has " in out
    told = account()
    assert (told["rows"], [row["line"] for row in told["dropped"]]) == (3, [line])
    assert told["lengths"]["max"] <= 300


def test_nothing_left_is_an_error_even_where_rows_may_be_dropped(say: Say) -> None:
    made_of(*chat_rows("a", 3))
    code, _, err = say(*APERTUS, "--max-length", "5", "--on-bad-row", "drop")
    assert code == 1 and err.endswith("mix.jsonl: no line is left to train on\n")
    assert sorted(Path().glob("*.arrow")) == []


def test_rows_that_cannot_be_masked_are_named(say: Say) -> None:
    made_of(chat_row("b", "Tea?", "\n\n\nYes."))
    code, _, err = say("mix.jsonl", "--base", "chatml", "--tokenizer", "chatml.json")
    assert code == 1
    assert err.startswith("error: mix.jsonl:1: the token '\\n\\n' stands on both sides")


def test_many_faults_are_counted_and_the_first_are_shown(say: Say) -> None:
    made_of(*chat_rows("a", 14))
    code, _, err = say(*APERTUS, "--max-length", "5")
    assert code == 1 and len(err.splitlines()) == 12
    assert "and 4 more lines; --on-bad-row drop lists all" in err


def test_unverified_data_is_not_encoded(say: Say) -> None:
    made = make(Path())
    made.paths.bundle.unlink()
    assert say(*APERTUS)[0] == 4
    assert say(*APERTUS, "--allow-unsigned")[0] == 0
    ROWS.unlink()
    made.paths.data.write_bytes(made.paths.data.read_bytes() + b"{}\n")
    assert say(*APERTUS, "--allow-unsigned")[0] == 1
    assert not ROWS.exists()


def test_no_draft_stays_after_a_fault(say: Say) -> None:
    made_of(*chat_rows("a", 3))
    before = sorted(path.name for path in Path().iterdir())
    say(*APERTUS, "--max-length", "5")
    assert sorted(path.name for path in Path().iterdir()) == before


def test_the_data_file_cannot_be_the_output(say: Say) -> None:
    made = made_of(*chat_rows("a", 3))
    before = made.paths.data.read_bytes()
    code, _, err = say(*APERTUS, "-o", "mix.jsonl")
    assert (code, err) == (2, "error: mix.jsonl: is no name for rows, expected *.arrow\n")
    assert made.paths.data.read_bytes() == before


def test_a_folder_that_is_not_there_is_told(say: Say) -> None:
    made_of(*chat_rows("a", 3))
    code, _, err = say(*APERTUS, "-o", "absent/rows.arrow")
    assert (code, err) == (6, "error: absent/rows.arrow: cannot be written: "
                              "No such file or directory\n")  # fmt: skip


def test_rows_that_were_changed_are_noticed_at_the_end(say: Say) -> None:
    make(Path())
    say(*APERTUS)
    digest = account()["rows_sha256"]
    with ipc.open_file(str(ROWS)) as file:
        table = file.read_all()
    with ipc.new_file(str(ROWS), table.schema) as file:
        file.write_table(table.slice(1))
    with pytest.raises(DigestError, match="encode again"):
        list(read_encoded(ROWS, digest))


@pytest.mark.parametrize("data", [b"", b"ARROW1", b"tea" * 99])
def test_what_are_no_encoded_rows_is_refused(data: bytes) -> None:
    ROWS.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as encoded rows"):
        list(read_encoded(ROWS, "0" * 64))


def test_rows_of_other_columns_are_refused() -> None:
    table = arrow.table({"ids": [1]})
    with ipc.new_file(str(ROWS), table.schema) as file:
        file.write_table(table)
    with pytest.raises(DataError, match="other columns"):
        list(read_encoded(ROWS, "0" * 64))
