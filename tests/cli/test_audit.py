"""`teapot audit` and `teapot trace` as a user sees them: words, JSON and exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot.cli.app import run
from teapot.signed_folder import sign_folder
from tests.support.compositions import compose, make
from tests.support.environment import own_key
from tests.support.finetunes import WEIGHTS
from tests.support.keys import key
from tests.support.modelfolders import finish, signer
from tests.support.project import chat_row, chat_rows, write_config, write_module

Say = Callable[..., tuple[int, str, str]]
MODEL = Path("models/tea")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    """A project with a signed composition in `data`, and a model folder made of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    made = make(Path("data"))
    finish(MODEL, made)
    return made


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


@pytest.fixture
def links(say: Say) -> Callable[..., dict[str, str]]:
    """The status of each link of the chain, and the exit code."""

    def walked(*arguments: object) -> dict[str, Any]:
        code, out, err = say("audit", MODEL, "--json", *arguments)
        assert err == ""
        value = json.loads(out)
        assert value["exit_code"] == code
        return {"code": code, **{link["name"]: link["status"] for link in value["checks"]}}

    return walked


GOOD = {
    "code": 0, "card": "ok", "statement": "ok", "manifest": "ok", "ledger": "ok", "data": "ok",
    "sources": "note",
}  # fmt: skip


def test_a_chain_is_told_link_by_link(made: teapot.Composition, say: Say) -> None:
    code, out, err = say("audit", MODEL)
    statement = json.loads((MODEL / "train.statement.json").read_bytes())
    weights = statement["subject"][0]["digest"]["sha256"]
    sources = {source.id: source for source in made.report.sources}
    card = (MODEL / "README.md").read_text()
    sha256 = card.split("name: train.statement.json\n    sha256: ")[1].split("\n")[0]
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "models/tea",
        f"  OK          card: README.md leads to train.statement.json, sha256 {sha256}",
        f"  OK          statement: {WEIGHTS}, sha256 {weights}, made of mix.manifest.json, sha256 "
        f"{made.manifest_sha256}",
        f"  OK          manifest: mix.jsonl, sha256 {made.data.sha256}, 27 records; "
        f"mix.ledger.parquet, rows sha256 {made.ledger.rows_sha256}",
        "  OK          ledger: data/mix.ledger.parquet with the digest that the manifest states",
        f"              both {made.ledger.rows_sha256}",
        "  OK          data: data/mix.jsonl with the digest that the manifest states",
        f"              both {made.data.sha256}",
        "  NOTE        sources: 3 sources, as the manifest states what was read",
        *(
            f"              t/{name} t-{name}: t-{name}.jsonl, sha256 {sources[f't-{name}'].sha256}"
            f", {sources[f't-{name}'].rows} rows"
            for name in ("a", "b", "c")
        ),
        "the chain holds",
    ]


def test_an_example_is_walked_to_its_row(made: teapot.Composition, say: Say) -> None:
    record = json.loads(made.paths.data.read_bytes().splitlines()[4])
    code, out, _ = say("audit", MODEL, "--example", 5)
    value = json.loads(say("audit", MODEL, "--example", 5, "--json")[1])
    example = value["example"]
    assert code == 0
    assert (example["line"], example["id"], example["messages"]) == (
        5, record["id"], record["messages"]
    )  # fmt: skip
    source = made.paths.data.parent / "modules/t" / example["uri"]
    row = json.loads(source.read_bytes().splitlines()[example["row"] - 1])
    assert row["id"] == record["id"]
    told = out.splitlines()
    assert (
        f"  OK          example: line 5 is row {example['row']} of {example['uri']}, and its" in out
    )
    assert f"  row        {example['row']} of {example['source']} ({example['uri']})" in told
    assert f"  licence    {record['license']}" in told
    assert f"  user       {record['messages'][0]['content']}" in told
    assert told[-1] == "the chain holds"


def test_without_the_data_an_example_has_no_text(made: teapot.Composition, say: Say) -> None:
    made.paths.data.unlink()
    code, out, _ = say("audit", MODEL, "--example", 5)
    assert code == 0
    assert "  text       not shown: there is no data file that can be believed\n" in out
    assert "  SKIPPED     data: " in out


def test_ledger_and_data_are_found_beside_the_manifest_or_where_one_says(
    made: teapot.Composition, links: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path.cwd()
    shutil.copytree("data", place.parent / f"{place.name}-far")
    shutil.rmtree("data")
    lost = links()
    assert lost["code"] == 3
    assert (lost["ledger"], lost["data"]) == ("unreachable", "skipped")
    assert links("--composition", place.parent / f"{place.name}-far") == GOOD
    far = place.parent / f"{place.name}-far"
    assert links("--composition", far / "mix.manifest.json") == GOOD
    for path in (far / "mix.jsonl", far / "mix.ledger.parquet"):
        shutil.copy(path, MODEL)
    sign_folder(MODEL, own_key())
    assert links() == GOOD


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def other_ledger() -> None:
    write_module(Path("other"), "t/a", chat_rows("z", 25))
    other = compose(write_config(Path("other"), {"t/a": 1}))
    shutil.copy(other.paths.ledger, "data/mix.ledger.parquet")


BROKEN: dict[str, tuple[Callable[[], object], str, int]] = {
    "card": (lambda: edit(MODEL / "README.md", b"  records: 27", b"  records: 28"), "card", 1),
    "card removed": ((MODEL / "README.md").unlink, "card", 1),
    "weights": (lambda: flip(MODEL / WEIGHTS), "statement", 1),
    "plan": (lambda: flip(MODEL / "plan.json"), "statement", 1),
    "statement": (
        lambda: edit(MODEL / "train.statement.json", b'"steps": 6', b'"steps": 9'), "statement", 1
    ),
    "statement by a stranger": (
        lambda: (MODEL / "train.statement.sigstore.json").write_bytes(
            signer(key(77))((MODEL / "train.statement.json").read_bytes())
        ),
        "statement", 5,
    ),
    "manifest": (
        lambda: edit(MODEL / "mix.manifest.json", b'"seed": 42', b'"seed": 43'), "manifest", 1
    ),
    "manifest unsigned": ((MODEL / "mix.manifest.sigstore.json").unlink, "manifest", 4),
    "ledger": (other_ledger, "ledger", 1),
    "ledger broken": (lambda: flip(Path("data/mix.ledger.parquet")), "ledger", 1),
    "data": (lambda: edit(Path("data/mix.jsonl"), b"answer", b"ANSWER"), "data", 1),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_break_is_named_at_its_place(
    what: str, made: teapot.Composition, links: Callable[..., Any]
) -> None:
    change, place, code = BROKEN[what]
    change()
    (MODEL / "model.sig").unlink()
    sign_folder(MODEL, own_key())
    found = links("--example", "1")
    assert found.pop("code") == code
    broken = [name for name, status in found.items() if status not in ("ok", "note", "skipped")]
    assert broken == [place]


def test_what_is_behind_a_break_is_not_walked(made: teapot.Composition, say: Say) -> None:
    (MODEL / "train.statement.sigstore.json").unlink()
    code, out, _ = say("audit", MODEL)
    assert code == 1  # the signature over the folder has it
    assert "  SKIPPED     card: not walked: nobody trusted vouches for the train statement\n" in out
    assert "  SKIPPED     ledger: not walked: what is before it is not believed\n" in out
    assert out.splitlines()[-1] == "BROKEN at statement (exit code 1)"


def test_an_unsigned_chain_is_walked_where_that_is_asked_for(
    made: teapot.Composition, links: Callable[..., Any]
) -> None:
    finish(MODEL, made, signed=False)
    assert links()["code"] == 4
    assert links("--allow-unsigned") == GOOD


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models"], "error: models holds no train.statement.json, so it is no model folder of"),
        ([MODEL, "--example", "28"], "error: --example: there is no line 28, expected 1 to 27\n"),
        ([MODEL, "--composition", "models"], "error: models: holds no *.manifest.json"),
        ([MODEL, "--composition", "other"], "error: other: holds no manifest with the SHA-256 "),
        ([MODEL, "--trust", "none"], "error: none: no such trust file\n"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[Any], told: str, made: teapot.Composition, say: Say
) -> None:
    write_module(Path("other"), "t/z", chat_rows("z", 3))
    compose(write_config(Path("other"), {"t/z": 1}))
    code, out, err = say("audit", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)


# Which models were trained on a record.


@pytest.fixture
def coffee(made: teapot.Composition) -> teapot.Composition:
    """Another composition of the project, and a second model folder made of it."""
    evil = chat_row("evil\x1b[2J", "Why\u202e?")
    write_module(Path("other"), "t/z", [*chat_rows("z", 3), evil])
    other = compose(write_config(Path("other"), {"t/z": 2}))
    finish(Path("models/coffee"), other)
    return other


@pytest.mark.parametrize(
    ("query", "answers", "code"),
    [
        ("z-1", {"coffee": "yes", "tea": "no"}, 0),
        ("Question 1 of ", {"coffee": "yes", "tea": "yes"}, 0),
        ("Question 2 of z?", {"coffee": "yes", "tea": "no"}, 0),
        ("Question 9 of z?", {"coffee": "no", "tea": "no"}, 1),
        ("b-bad", {"coffee": "no", "tea": "no"}, 1),  # read, but dropped
        ("assistant", {"coffee": "no", "tea": "no"}, 1),  # a role is no text
    ],
)
def test_each_model_says_whether_it_was_trained_on_a_record(
    query: str, answers: dict[str, str], code: int, coffee: teapot.Composition, say: Say
) -> None:
    found, out, err = say("trace", query, "models", "--json")
    assert (found, err) == (code, "")
    assert {Path(part["model"]).name: part["answer"] for part in json.loads(out)} == answers


def test_the_lines_are_told(coffee: teapot.Composition, say: Say) -> None:
    lines = coffee.paths.data.read_bytes().splitlines()
    wanted = [n for n, line in enumerate(lines, start=1) if json.loads(line)["id"] == "z-1"]
    assert len(wanted) == 2
    code, out, _ = say("trace", "z-1", "models/coffee")
    assert code == 0
    assert out == (
        f"yes        models/coffee on lines {wanted[0]}, {wanted[1]}: by its id or digest, in "
        "other/mix.ledger.parquet\n"
    )
    (found,) = json.loads(say("trace", "z-1", "models/coffee", "--json")[1])
    assert (found["lines"], found["count"]) == (wanted, 2)
    content = json.loads(say("explain", coffee.paths.data, "z-1", "--json")[1])
    digest = content[0]["explanations"][0]["content_digest"]
    assert say("trace", digest, "models/coffee")[0] == 0


def test_what_is_not_here_is_not_known(coffee: teapot.Composition, say: Say) -> None:
    coffee.paths.data.unlink()
    assert say("trace", "z-1", "models/coffee")[0] == 0
    code, out, _ = say("trace", "Question 1 of z?", "models/coffee")
    assert code == 3
    assert out.startswith("not known  models/coffee: ledger: no record with this id or digest; da")
    coffee.paths.ledger.unlink()
    assert say("trace", "z-1", "models/coffee")[0] == 3


def test_the_data_alone_answers_too(coffee: teapot.Composition, say: Say) -> None:
    coffee.paths.ledger.unlink()
    assert say("trace", "z-1", "models/coffee")[0] == 0
    assert say("trace", "z-9", "models/coffee")[0] == 1


def test_a_ledger_or_a_model_that_is_not_as_stated_answers_nothing(
    coffee: teapot.Composition, say: Say
) -> None:
    other_ledger()
    Path("data/mix.jsonl").unlink()
    code, out, _ = say("trace", "z-1", MODEL)
    assert (code, out.split()[:2]) == (3, ["not", "known"])
    flip(Path("models/coffee") / WEIGHTS)
    code, out, _ = say("trace", "z-1", "models/coffee")
    assert code == 3
    assert out == ("not known  models/coffee: it does not verify: folder files, weights\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["", "models"], "error: an empty query names every record; ask for an id, a digest or"),
        (["z-1", "data"], "error: data: is no model folder, and holds none: a model folder has a "),
    ],
)
def test_a_trace_of_nothing_is_wrong_usage(
    arguments: list[str], told: str, made: teapot.Composition, say: Say
) -> None:
    code, out, err = say("trace", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)


def test_nothing_of_a_record_moves_a_cursor(coffee: teapot.Composition, say: Say) -> None:
    lines = coffee.paths.data.read_bytes().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if json.loads(text)["id"].startswith("evil"))
    code, out, _ = say("audit", "models/coffee", "--example", line)
    assert code == 0
    assert "\x1b" not in out and "\u202e" not in out
    assert "  id         evil\\x1b[2J\n" in out and "Why\\x202e?" in out
