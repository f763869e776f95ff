"""`teapot diff` as a user sees it: what differs between real mixes, exit codes, and no lies."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tokenizers import Tokenizer, models, pre_tokenizers

import teapot
from teapot.cli.app import run
from teapot.schemas import schema_text
from tests.support.compositions import compose, die, restate, sign_again
from tests.support.environment import own_key
from tests.support.keys import key
from tests.support.modelfolders import finish
from tests.support.project import Row, chat_row, chat_rows, write_config, write_module

Say = Callable[..., tuple[int, str, str]]
Differ = Callable[..., Any]
SAME, FAULT, USAGE, DIFFERENT = 0, 1, 2, 7


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that trusts the tests' key, and no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    return tmp_path


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


@pytest.fixture
def differ(say: Say) -> Differ:
    """What `diff --json` prints, which fits its schema and agrees with the exit code."""

    def found(*arguments: object) -> Any:
        code, out, err = say("diff", *arguments, "--json")
        assert err == ""
        value = json.loads(out)
        Draft202012Validator(json.loads(schema_text("diff"))).validate(value)
        assert code == (SAME if value["same"] else DIFFERENT)
        return value

    return found


def made(name: str, rows: Sequence[Row], weight: Any = 1, **declared: Any) -> teapot.Composition:
    """Compose a mix of t/a with these rows and t/b with others, in a folder of its own."""
    config = declared.pop("config", {})
    write_module(Path(name), "t/a", rows, **declared)
    write_module(Path(name), "t/b", chat_rows("b", 3))
    return compose(write_config(Path(name), {"t/a": weight, "t/b": 1}, **config))


def rows_of(found: Any, module: str = "t/a") -> dict[str, int]:
    """Return the counts of a module that are not zero."""
    rows = next(part["rows"] for part in found["modules"] if part["name"] == module)
    return {name: count for name, count in rows.items() if count and name != "examples"}


def examples(found: Any, kind: str) -> list[tuple[Any, Any]]:
    rows = next(part["rows"] for part in found["modules"] if part["name"] == "t/a")
    return [
        tuple(side and (side["id"], side["source"], side["row"]) for side in (one["a"], one["b"]))
        for one in rows["examples"].get(kind, [])
    ]  # type: ignore[misc]


ROWS = chat_rows("a", 6)


def test_the_same_mix_twice_is_the_same(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    made("two", ROWS)
    found = differ("one/mix.manifest.json", "two/mix.jsonl")
    assert found["same"] and found["compared"] == "rows"
    assert rows_of(found) == {"same": 6}
    assert [found[side]["ledger"] for side in "ab"] == ["verified", "verified"]
    assert [found[side]["trust"] for side in "ab"] == ["signed", "signed"]
    code, out, err = say("diff", "one/mix.jsonl", "two")
    assert (code, err) == (SAME, "") and out.endswith("the same\n")


def test_another_weight_draws_other_rows_of_the_same(differ: Differ) -> None:
    made("one", ROWS, weight="0.5")
    made("two", ROWS, weight=2)
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert rows_of(found) == {"same": 6, "entered": 3, "recounted": 3}
    assert found["settings"] == [{"path": "modules.t/a.weight", "a": "0.5", "b": "2"}]
    module = found["modules"][0]
    told = [[module[side][key] for key in ("asked", "lines", "share_asked")] for side in "ab"]
    assert told == [["0.5", 3, "50.0"], ["2", 12, "80.0"]]
    assert found["licenses"][0]["a"]["lines"] == 6 and found["licenses"][0]["b"]["lines"] == 15
    assert found["sources"] == []


def test_rows_edited_removed_and_added_at_the_source_are_named(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    edited = chat_row("a-2", "Question 2 of a?", "Another answer.")
    made("two", [chat_row("a-new", "New?"), ROWS[0], edited, *ROWS[3:]])
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert rows_of(found) == {"same": 4, "changed": 1, "added": 1, "removed": 1}
    assert examples(found, "changed") == [(("a-2", "t-a", 2), ("a-2", "t-a", 3))]
    assert examples(found, "added") == [(None, ("a-new", "t-a", 1))]
    assert examples(found, "removed") == [(("a-3", "t-a", 3), None)]
    source = found["sources"][0]
    assert source["a"]["sha256"] != source["b"]["sha256"] and source["b"]["rows"] == 6
    code, out, _ = say("diff", "one/mix.jsonl", "two/mix.jsonl")
    assert code == DIFFERENT
    assert "changed   t/a      a-2     t-a:2 → t-a:3" in out
    assert "they differ in 1 module, 1 licence, 1 source\n" in out


def test_rows_without_an_id_are_known_by_content_then_by_number(differ: Differ) -> None:
    unnamed = [{"conversations": row["conversations"]} for row in ROWS]
    new = {"conversations": chat_row("", "New?")["conversations"]}
    other = {"conversations": chat_row("", "Question 4 of a?", "Other.")["conversations"]}
    made("one", unnamed)
    made("two", [*unnamed[:3], other, *unnamed[4:]])
    made("three", [new, *unnamed])
    assert rows_of(differ("one/mix.jsonl", "two/mix.jsonl")) == {"same": 5, "changed": 1}
    # the new row is the first, which every other row's number has moved for
    assert rows_of(differ("one/mix.jsonl", "three/mix.jsonl")) == {"same": 6, "added": 1}


def test_the_number_of_examples_is_asked_for(differ: Differ) -> None:
    made("one", ROWS)
    made("two", ROWS[:1])
    pair = "one/mix.jsonl", "two/mix.jsonl"
    assert [row[0] for row, _ in examples(differ(*pair), "removed")] == ["a-2", "a-3", "a-4"]
    assert len(examples(differ(*pair, "--examples", 5), "removed")) == 5
    assert examples(differ(*pair, "--examples", 0), "removed") == []


def test_another_licence_is_told_by_row_and_by_line(differ: Differ) -> None:
    made("one", ROWS)
    made("two", [{**row, "license": "Apache-2.0"} for row in ROWS])
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert rows_of(found) == {"same": 6, "relicensed": 6}
    lines = {
        part["license"]: [side and side["lines"] for side in (part["a"], part["b"])]
        for part in found["licenses"]
    }
    assert lines == {"Apache-2.0": [None, 6], "MIT": [9, 3]}


def test_allowed_licences_drop_rows_with_a_reason(differ: Differ, say: Say) -> None:
    rows = [*ROWS[:4], {**ROWS[4], "license": "GPL-3.0-only"}]
    made("one", rows)
    made("two", rows, config={"license": {"allowed": ["MIT"]}})
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert rows_of(found) == {"same": 5, "left": 1}
    assert found["settings"] == [{"path": "licenses", "a": "all", "b": ["MIT"]}]
    assert found["modules"][0]["b"]["dropped"] == {"license": 1}
    assert "dropped   t/a      license   0   1" in say("diff", "one/mix.jsonl", "two/mix.jsonl")[1]


def test_a_module_that_only_one_mix_has(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    write_module(Path("two"), "t/a", ROWS)
    compose(write_config(Path("two"), {"t/a": 1}))
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert rows_of(found, "t/b") == {"removed": 3}
    assert found["modules"][1]["b"] is None
    assert [setting["path"] for setting in found["settings"]] == ["modules.t/b"]
    assert " modules.t/b   weight 1   –" in say("diff", "one/mix.jsonl", "two/mix.jsonl")[1]


def test_exchanged_sides_are_told_the_other_way_round(differ: Differ) -> None:
    made("one", ROWS, weight="0.5")
    rows = [{**row, "license": "Apache-2.0"} for row in [*ROWS[1:], chat_row("a-7", "New?")]]
    made("two", rows, config={"duplicates": "drop"})
    found, other = differ("one/mix.jsonl", "two"), differ("two", "one/mix.jsonl")
    assert (found["a"], found["b"]) == (other["b"], other["a"])
    for name in ("settings", "licenses", "sources", "modules"):
        assert found[name]
        for one, mirrored in zip(found[name], other[name], strict=True):
            assert (one["a"], one["b"]) == (mirrored["b"], mirrored["a"])
    swapped = {"added": "removed", "removed": "added", "entered": "left", "left": "entered"}
    counts = {swapped.get(kind, kind): count for kind, count in rows_of(found).items()}
    assert counts == rows_of(other)


def test_a_lock_against_a_lock_and_a_mix(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    made("two", ROWS[:5])
    for name in ("one", "two"):
        assert say("lock", f"{name}/mix.config")[0] == 0
    assert differ("one/teapot.lock", "one/teapot.lock")["same"]
    found = differ("one/teapot.lock", "two/teapot.lock")
    assert [(part["module"], part["id"]) for part in found["sources"]] == [("t/a", "t-a")]
    assert [found["sources"][0][side]["rows"] for side in "ab"] == [6, 5]
    assert differ("one/teapot.lock", "one/mix.jsonl")["same"]
    assert differ("one/mix.jsonl", "two/teapot.lock")["sources"] == found["sources"]


def test_a_moved_revision_of_a_lock_is_told(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    assert say("lock", "one/mix.config")[0] == 0
    value = json.loads(Path("one/teapot.lock").read_text())
    value["sources"]["t/a t-a"]["revision"] = "b" * 40
    Path("moved.lock").write_text(json.dumps(value))
    found = differ("one/teapot.lock", "moved.lock")
    assert [found["sources"][0][side]["revision"] for side in "ab"] == [None, "b" * 40]


def test_a_moved_revision_of_a_source_is_told(differ: Differ) -> None:
    first, second = made("one", ROWS), made("two", ROWS)

    def move(value: Any) -> None:
        build = value["predicate"]["buildDefinition"]
        build["resolvedDependencies"][0]["annotations"]["revision"] = "c" * 40
        build["externalParameters"]["recipe"]["modules"][0]["sources"][0]["revision"] = "c" * 40

    restate(second, move)
    found = differ(first.paths.data, second.paths.data)
    assert [found["sources"][0][side]["revision"] for side in "ab"] == [None, "c" * 40]
    assert rows_of(found) == {"same": 6}


def test_models_are_compared_by_what_they_were_trained_on(differ: Differ) -> None:
    finish(Path("models/one"), made("one", ROWS))
    finish(Path("models/two"), made("two", ROWS[:5]))
    found = differ("models/one", "models/two")
    assert found["compared"] == "rows" and rows_of(found) == {"same": 5, "removed": 1}
    assert [found[side]["kind"] for side in "ab"] == ["model", "model"]
    assert differ("models/one", "one/mix.jsonl")["same"]
    shutil.rmtree("two")  # nothing leads to its ledger any more
    assert differ("models/one", "models/two")["compared"] == "manifests"


def test_a_model_of_another_manifest_is_refused(say: Say) -> None:
    finish(Path("models/one"), made("one", ROWS))
    other = made("two", ROWS[:5])
    for path in (other.paths.manifest, other.paths.bundle):
        shutil.copy(path, "models/one")
    code, out, err = say("diff", "models/one", "two/mix.jsonl")
    assert (code, out) == (FAULT, "")
    assert "is not the manifest that was trained on" in err


def test_configs_are_compared_as_resolved(differ: Differ, say: Say) -> None:
    write_module(Path("one"), "t/a", ROWS)
    write_config(Path("one"), {"t/a": 1}, base={"model": "x/y"}, training={"epochs": 3})
    write_module(Path("two"), "t/a", ROWS, max_length=100)
    write_config(Path("two"), {"t/a": "1.0"}, base={"model": "x/z"}, training={"epochs": 3.0})
    Path("two/modules/t/t-a.jsonl").unlink()  # no source is read
    found = differ("one/mix.config", "two/mix.config")
    assert found["settings"] == [
        {"path": "base.model", "a": "x/y", "b": "x/z"},
        {"path": "modules.t/a.max_length", "a": None, "b": 100},
    ]
    assert found["compared"] == "configs"
    assert "they differ in 2 settings" in say("diff", "one/mix.config", "two/mix.config")[1]


def test_a_config_against_a_mix_is_compared_by_the_recipe(differ: Differ) -> None:
    made("one", ROWS)
    assert differ("one/mix.config", "one/mix.jsonl")["same"]
    write_config(Path("one"), {"t/a": 1, "t/b": 1}, training={"seed": 7}, base={"model": "x/y"})
    found = differ("one/mix.config", "one/mix.jsonl")
    assert found["compared"] == "recipes"
    assert found["settings"] == [{"path": "seed", "a": 7, "b": 42}]


def git(*arguments: str) -> None:
    """Run git with an identity of its own."""
    own = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(project: Path) -> None:
    """A repository with a config and its module, which were changed since."""
    git("init", "-q")
    write_module(project / "mixes", "t/a", ROWS)
    write_config(project / "mixes", {"t/a": 1})
    git("add", ".")
    git("commit", "-q", "-m", "one")
    write_module(project / "mixes", "t/a", ROWS, version="2")
    write_config(project / "mixes", {"t/a": 1}, training={"seed": 7})


@pytest.mark.usefixtures("repository")
def test_a_config_of_a_git_revision_brings_its_modules(
    differ: Differ, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [("modules.t/a.version", "1", "2"), ("seed", 42, 7)]
    found = differ("HEAD:mixes/mix.config", "mixes/mix.config")
    assert [(s["path"], s["a"], s["b"]) for s in found["settings"]] == changes
    assert differ("HEAD:mixes/mix.config", "HEAD:mixes/mix.config")["same"]
    monkeypatch.chdir("mixes")
    for target in ("HEAD:./mix.config", "HEAD:mixes/mix.config", "HEAD:../mixes/mix.config"):
        assert differ(target, "mix.config")["settings"] == found["settings"]


@pytest.mark.usefixtures("repository")
def test_a_lock_of_a_git_revision_is_compared(differ: Differ, say: Say) -> None:
    assert say("lock", "mixes/mix.config")[0] == 0
    git("add", ".")
    git("commit", "-q", "-m", "two")
    assert differ("HEAD:mixes/teapot.lock", "mixes/teapot.lock")["same"]
    write_module(Path("mixes"), "t/a", ROWS[:5])
    assert say("lock", "mixes/mix.config")[0] == 0
    sources = differ("HEAD:mixes/teapot.lock", "mixes/teapot.lock")["sources"]
    assert [sources[0][side]["rows"] for side in "ab"] == [6, 5]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere:mixes/mix.config", "there is no git revision nowhere here"),
        ("HEAD:mixes/other.config", "there is no mixes/other.config at HEAD"),
        ("--output=x:mixes/mix.config", "'--output=x' is no git revision"),
        ("HEAD:mixes/modules/t/a.yaml", "is nothing that can be compared"),
    ],
)
def test_what_git_does_not_have_is_a_usage_error(target: str, told: str, say: Say) -> None:
    code, out, err = say("diff", "--", target, "mixes/mix.config")
    assert (code, out) == (USAGE, "")
    assert f"error: {target}: " in err and told in err
    assert not Path("x").exists()


@pytest.mark.usefixtures("repository")
def test_a_broken_config_of_a_revision_is_named_by_its_revision(say: Say) -> None:
    Path("mixes/mix.config").write_text("modules: {t/a: true}\nlicence: {allowed: all}\n")
    git("commit", "-q", "-a", "-m", "two")
    code, _, err = say("diff", "HEAD:mixes/mix.config", "HEAD~1:mixes/mix.config")
    assert code == USAGE
    assert "error: HEAD:mixes/mix.config:2: licence: no such key; did you mean license?" in err


def test_without_git_a_revision_cannot_be_read(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, _, err = say("diff", "HEAD:mix.config", "HEAD:mix.config")
    assert code == USAGE and "git, which would read a revision, is not installed" in err


def test_without_a_ledger_it_says_that_it_is_a_summary(differ: Differ, say: Say) -> None:
    made("one", ROWS)
    made("two", ROWS[:5]).paths.ledger.unlink()
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert found["compared"] == "manifests"
    assert [found[side]["ledger"] for side in "ab"] == ["unread", "absent"]
    assert found["modules"][0]["rows"] is None and found["modules"][0]["b"]["read"] == 5
    code, out, _ = say("diff", "one/mix.jsonl", "two/mix.jsonl")
    assert code == DIFFERENT
    assert "compared  a summary, from what the manifests state" in out
    assert "the ledger of b is not here" in out


def test_a_ledger_of_another_mix_is_an_error_and_nothing_is_compared(say: Say) -> None:
    first = made("one", ROWS)
    second = made("two", [*ROWS[:5], chat_row("a-6", "Other?")])
    shutil.copy(second.paths.ledger, first.paths.ledger)
    for pair in (("one/mix.jsonl", "two/mix.jsonl"), ("two/mix.jsonl", "one/mix.jsonl")):
        code, out, err = say("diff", *pair)
        assert (code, out) == (FAULT, "")
        assert "one/mix.ledger.parquet: is not the ledger that its manifest states" in err


def test_a_ledger_that_is_none_is_an_error(say: Say) -> None:
    first = made("one", ROWS)
    first.paths.ledger.write_bytes(b"PAR1 no")
    code, out, err = say("diff", "one/mix.jsonl", "one/mix.jsonl")
    assert (code, out) == (FAULT, "")
    assert "cannot be read as a ledger" in err


def test_a_large_ledger_is_read_in_a_process_of_its_own(
    differ: Differ, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("one", ROWS)
    made("two", ROWS[:5])
    monkeypatch.setattr("teapot.processes.OWN_PROCESS_BYTES", 1)
    assert rows_of(differ("one/mix.jsonl", "two/mix.jsonl")) == {"same": 5, "removed": 1}
    Path("one/mix.ledger.parquet").write_bytes(Path("two/mix.ledger.parquet").read_bytes())
    code, _, err = say("diff", "one/mix.jsonl", "two/mix.jsonl")
    assert code == FAULT and "has 8 rows, the manifest states 9" in err
    monkeypatch.setattr("teapot.usecases.diff._compare_bounded", die)
    code, _, err = say("diff", "one/mix.jsonl", "two/mix.jsonl")
    assert code == FAULT and "broke the process that read them as Parquet" in err


def test_a_recipe_that_contradicts_its_account_is_an_error(say: Say) -> None:
    def lie(value: Any) -> None:
        value["predicate"]["teapot_composition"]["modules"][0]["weight"] = "3"

    restate(made("one", ROWS), lie)
    code, out, err = say("diff", "one/mix.jsonl", "one/mix.jsonl")
    assert (code, out) == (FAULT, "") and "recipe: its modules, their versions or weights" in err


def test_tokens_are_compared_where_both_have_them(differ: Differ, say: Say) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for name, rows in (("one", ROWS), ("two", ROWS[:5])):
        Path(name).mkdir()
        tokenizer.save(f"{name}/tokenizer.json")
        made(name, rows, config={"tokenizer": "tokenizer.json"})
    made("three", ROWS)
    module = differ("one/mix.jsonl", "two/mix.jsonl")["modules"][0]
    assert [module[side]["tokens"] for side in "ab"] == [36, 30]
    assert "36 → 30" in say("diff", "one/mix.jsonl", "two/mix.jsonl")[1]
    assert "characters" in say("diff", "two/mix.jsonl", "three/mix.jsonl")[1]


def test_a_manifest_that_was_edited_is_an_error(say: Say) -> None:
    first = made("one", ROWS)
    manifest = first.paths.manifest
    manifest.write_bytes(manifest.read_bytes().replace(b'"seed": 42', b'"seed": 43'))
    code, out, err = say("diff", "one/mix.jsonl", "one/mix.jsonl")
    assert (code, out) == (FAULT, "") and "payload" in err


def test_who_has_not_signed_is_said_of_each_side(differ: Differ, say: Say) -> None:
    made("one", ROWS).paths.bundle.unlink()
    sign_again(made("two", ROWS), key(7))
    found = differ("one/mix.jsonl", "two/mix.jsonl")
    assert [found[side]["trust"] for side in "ab"] == ["unsigned", "untrusted"]
    assert found["same"]
    out = say("diff", "one/mix.jsonl", "two/mix.jsonl")[1]
    assert "UNSIGNED: no such file" in out and "UNTRUSTED: " in out


def test_a_lock_and_a_config_have_nothing_in_common(say: Say) -> None:
    made("one", ROWS)
    assert say("lock", "one/mix.config")[0] == 0
    code, out, err = say("diff", "one/teapot.lock", "one/mix.config")
    assert (code, out) == (USAGE, "")
    assert "a lock and a config have nothing in common to compare" in err


@pytest.mark.parametrize(
    ("target", "told"),
    [("other.txt", "is nothing that can be compared"), ("gone.config", "no such config"),
     ("gone.jsonl", "no such file"), ("empty", "holds no *.manifest.json"),
     ("bare.jsonl", "has no manifest beside it")],
)  # fmt: skip
def test_what_cannot_be_compared_is_a_usage_error(target: str, told: str, say: Say) -> None:
    made("one", ROWS)
    Path("other.txt").write_text("x")
    Path("bare.jsonl").write_text("{}\n")
    Path("empty").mkdir()
    code, out, err = say("diff", "one/mix.jsonl", target)
    assert (code, out) == (USAGE, "") and told in err


def test_texts_of_a_data_set_do_nothing_to_terminal_or_markdown(say: Say) -> None:
    evil = "a\x1b[2J|`<img src=x>`@everyone [x](https://x) [bold]"
    made("one", ROWS)
    made("two", [*ROWS, chat_row(evil, "New?")])
    pair = "one/mix.jsonl", "two/mix.jsonl"
    shown = say("diff", *pair)[1]
    assert "\x1b" not in shown and "a\\x1b[2J|`<img src=x>`@everyone" in shown
    page = say("diff", *pair, "--markdown")[1]
    code = "`a\\x1b[2J\\x7c\\x60<img src=x>\\x60@everyone [x](https://x) [bold]`"
    assert f"| `added` | `t/a` | {code} | `t-a:7` | – → 1 |\n" in page
    assert page.count("@everyone") == 1
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") and line.count("`") % 2 == 0 for line in tables)


def test_json_and_markdown_are_not_both_given(say: Say) -> None:
    assert say("diff", "a", "b", "--json", "--markdown")[0] == USAGE
