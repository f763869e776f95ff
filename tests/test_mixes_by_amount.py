"""Mixes whose modules are asked for in rows, shares, tokens and groups, from config to card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot import MixOptions, scratch
from teapot.canonical import dumps, dumps_readable, loads
from teapot.cardbody import _composition
from teapot.cli.explain import _lines
from teapot.configfile import load_config
from teapot.errors import ConfigError, DataError
from teapot.manifestfile import read_manifest, recipe_faults
from teapot.model.manifest import Manifest
from teapot.model.recipe import Recipe
from teapot.model.verification import Status
from teapot.usecases.signing import sign_manifest
from teapot.usecases.trainplan import config_differences
from teapot.usecases.verify import VerifyOptions, verify
from tests.support.compositions import compose, manifest_of, restate, signer
from tests.support.inline import inline_engine
from tests.support.project import chat_row, chat_rows, write_module
from tests.support.tokenizers import tokenizer_json

BY_ROWS: dict[str, Any] = {
    "modules": {
        "t/a": {"rows": 55, "max_repeat": 4},
        "t/b": {"share": "10%"},
        "t/c": {"share": "1/3"},
        "t/d": True,
        "t/e": {"max_repeat": "7.5"},
        "t/f": {"repeat": "0.3"},
    },
    "groups": {"langs": {"modules": ["t/e", "t/d"], "temperature": 2, "rows": 100}},
}
BY_TOKENS: dict[str, Any] = {
    "modules": {"t/a": {"tokens": "1k"}, "t/b": {"share": "10%"}, "t/c": {"weight": "0.5"}},
    "amounts": {"share_of": "tokens"},
    "tokenizer": "tokenizer.json",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with modules of several sizes, of which one repeats contents, and a tokenizer."""
    for name, count in (("a", 40), ("b", 90), ("c", 11), ("d", 90), ("e", 10)):
        write_module(tmp_path, f"t/{name}", chat_rows(name, count))
    twice = [chat_row(f"f-again-{n}", f"Question {n} of f?") for n in range(1, 5)]
    write_module(tmp_path, "t/f", [*chat_rows("f", 20), *twice])
    base = teapot.plugins.load_trainer("apertus")[0].base
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(base))
    return tmp_path


def write(folder: Path, config: Mapping[str, Any], **more: Any) -> Path:
    path = folder / "mix.config"
    path.write_text(json.dumps({"license": {"allowed": "all"}, **config, **more}))
    return path


def module_lines(manifest: Manifest) -> dict[str, int]:
    return {module.name: module.lines for module in manifest.report.modules}


@pytest.mark.parametrize("config", [BY_ROWS, BY_TOKENS], ids=["rows", "tokens"])
@pytest.mark.parametrize("more", [{}, {"duplicates": "drop", "output": {"shards": 3}}], ids=str)
def test_a_mix_verifies_and_its_manifest_comes_back(
    config: dict[str, Any], more: dict[str, Any], project: Path
) -> None:
    made = compose(write(project, config, **more))
    options = VerifyOptions(rebuild=True, allow_unsigned=True, config=project / "mix.config")
    (found,) = verify(made.paths.manifest, options=options)
    assert [result for result in found.results if result.status not in ("ok", "note", "skipped")
            and result.name != "signature"] == []  # fmt: skip
    data = made.paths.manifest.read_bytes()
    manifest = read_manifest(data, "m")
    assert (manifest.to_bytes(), list(recipe_faults(manifest))) == (data, [])
    assert config_differences(load_config(project / "mix.config").config, manifest.recipe) == []


def test_what_was_asked_stands_beside_what_was_realised(project: Path) -> None:
    report = teapot.plan(write(project, BY_ROWS)).report
    told = {module.name: (module.asked, report.realised(module)) for module in report.modules}
    assert told == {
        "t/a": ("55 rows", "55 rows"),
        "t/b": ("10% of rows", "10.1399% of rows"),
        "t/c": ("1/3 of rows", "33.2168% of rows"),
        "t/d": ("part of langs of 100 rows, temperature 2", "75 rows"),
        "t/e": ("part of langs of 100 rows, temperature 2", "25 rows"),
        "t/f": ("weight 0.3", "0.2917 of usable"),
    }
    assert report.total.lines == 286  # 162 lines are 17/30 of 285.9
    by_tokens = teapot.plan(write(project, BY_TOKENS)).report
    told = {m.name: (m.asked, by_tokens.realised(m)) for m in by_tokens.modules}
    assert told["t/a"] == ("1000 tokens", "991 tokens")  # 44 lines are nearest at the mean


def test_the_order_of_the_config_and_its_spelling_change_no_byte(project: Path) -> None:
    first = compose(write(project, BY_ROWS)).paths.manifest.read_bytes()
    turned = {
        "modules": {
            **dict(reversed(BY_ROWS["modules"].items())), "t/b": {"share": "1/10"},
            "t/a": {"max_repeat": "4.0", "rows": "0.055k"},
        },
        "groups": {"langs": {"modules": ["t/d", "t/e"], "temperature": "2.0", "rows": "0.1k"}},
    }  # fmt: skip
    assert compose(write(project, turned)).paths.manifest.read_bytes() == first


def test_more_rows_only_add_lines(project: Path) -> None:
    held: Counter[bytes] = Counter()
    for rows in (1, 39, 40, 41, 95, 120):
        config = {"modules": {"t/a": {"rows": rows}, "t/f": True}}
        made = compose(write(project, config))
        lines = Counter(made.paths.data.read_bytes().splitlines())
        assert sum(lines.values()) == rows + 24
        assert held <= lines
        held = lines


def test_rows_draw_what_the_weight_of_as_many_lines_draws(project: Path) -> None:
    by_weight = compose(write(project, {"modules": {"t/a": {"repeat": "1.5"}}}))
    weighed = by_weight.paths.data.read_bytes()
    assert compose(write(project, {"modules": {"t/a": {"rows": 60}}})).paths.data.read_bytes() == (
        weighed
    )


def test_engine_threads_shards_and_memory_change_no_byte(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for config in (BY_ROWS, BY_TOKENS):
        path = write(project, config)
        wanted = compose(path).paths.manifest.read_bytes()
        engine = inline_engine(range_bytes=900, bucket_bytes=700)
        for options in ({"engine": engine}, {"workers": 3}, {"keep_parts": False}):
            assert compose(path, **options).paths.manifest.read_bytes() == wanted  # type: ignore[arg-type]
        with monkeypatch.context() as small:
            small.setattr(scratch, "ROWS_IN_MEMORY", 9)
            assert compose(path).paths.manifest.read_bytes() == wanted
        data = compose(path).paths.data.read_bytes()
        shards = compose(path, shards=3).paths.shards(3)
        assert b"".join(part.read_bytes() for part in shards) == data
        compose(path, shards=1)


def test_what_was_judged_before_gives_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = compose(write(project, BY_TOKENS), keep_parts=False).paths.manifest.read_bytes()
    monkeypatch.setattr("teapot.partcache.LEAST_BYTES", 1)
    for _ in range(2):
        made = compose(write(project, BY_TOKENS), cache=project / "cache")
        assert made.paths.manifest.read_bytes() == wanted
    assert [path for path in (project / "cache").rglob("*") if path.is_file()]


def build(value: Any) -> Any:
    return value["predicate"]["buildDefinition"]["externalParameters"]["recipe"]


def counts(value: Any, place: int) -> Any:
    return value["predicate"]["teapot_composition"]["modules"][place]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: build(v)["modules"][0].update(amount={"rows": "54"}),
         "t/a: the account says 55 rows, the recipe something else"),
        (lambda v: (build(v)["modules"][0].update(amount={"rows": "54"}),
                    counts(v, 0).update(amount="54 rows")),
         "t/a: 54 rows of 40 usable records gives 54 lines, stated are 55"),
        (lambda v: counts(v, 1).update(lines=30),
         "t/b: 10% of rows of 90 usable records gives 29 lines, stated are 30"),
        (lambda v: build(v)["groups"][0].update(temperature="1"),
         "t/d: the account says part of langs of 100 rows, temperature 2, the recipe something"),
        (lambda v: build(v)["groups"][0]["modules"].pop(), "its groups are not those of its"),
        (lambda v: build(v)["modules"][0].update(max_repeat="1"),
         "it asks for what cannot be had: modules.t/a.max_repeat: modules.t/a.rows makes 55"),
        (lambda v: build(v)["modules"][0].update(amount={"rows": "5", "share": "1%"}),
         "t/a: has no amount, or several"),
        (lambda v: build(v)["modules"][0].pop("amount"), "t/a: has no amount, or several"),
        (lambda v: build(v).update(groups=build(v)["groups"] * 2), "a group stands twice"),
        (lambda v: counts(v, 0).update(usable_tokens=5), "t/a: tokens of usable records are"),
    ],
)  # fmt: skip
def test_lines_that_do_not_follow_from_what_was_asked_are_told(
    change: Callable[[Any], object], told: str, project: Path
) -> None:
    value = loads(compose(write(project, BY_ROWS)).paths.manifest.read_bytes())
    change(value)
    faults = list(recipe_faults(Manifest.from_dict(loads(dumps(value)))))
    assert [fault for fault in faults if fault.startswith(told)], faults


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda v: counts(v, 0).update(tokens=5),
            "t/a: 5 tokens, its usable records allow 900 to 1800",
        ),
        (lambda v: build(v)["amounts"].update(tokenizer="0" * 64), "its amounts of tokens were"),
        (lambda v: counts(v, 0).update(usable_tokens=700), "t/a: 1000 tokens of 40 usable"),
    ],
)
def test_tokens_that_do_not_follow_are_told(
    change: Callable[[Any], object], told: str, project: Path
) -> None:
    value = loads(compose(write(project, BY_TOKENS)).paths.manifest.read_bytes())
    change(value)
    faults = list(recipe_faults(Manifest.from_dict(loads(dumps(value)))))
    assert [fault for fault in faults if fault.startswith(told)], faults


def test_verify_finds_a_signed_manifest_that_says_another_amount(project: Path) -> None:
    made = compose(write(project, BY_ROWS))

    def lie(value: Any) -> None:
        build(value)["modules"][0].update(amount={"rows": "54"})
        counts(value, 0).update(amount="54 rows")
        parameters = value["predicate"]["buildDefinition"]["externalParameters"]
        parameters["recipe_sha256"] = Recipe.from_dict(parameters["recipe"]).sha256()

    restate(made, lie)
    (found,) = verify(made.paths.manifest, options=VerifyOptions(allow_unsigned=True))
    wrong = {r.name: r.details for r in found.results if r.status == Status.FAULT}
    assert list(wrong) == ["recipe"]
    assert "t/a: 54 rows of 40 usable records gives 54 lines, stated are 55" in wrong["recipe"]


def test_a_row_that_was_not_drawn_is_told_by_what_was_asked(project: Path) -> None:
    path = write(project, BY_ROWS)
    compose(path)
    found = [
        answer.explanations[0]
        for answer in teapot.explain(project / "mix.jsonl", [f"b-{n}" for n in range(1, 91)])
    ]
    left, kept = ([e for e in found if e.fate == fate] for fate in ("dropped", "kept"))
    assert (len(left), len(kept)) == (61, 29)
    assert _lines(left[0])[0].endswith(
        ": usable, but not drawn: 10% of rows (29 lines of 90 usable records) takes the lowest "
        "draw ranks only"
    )
    for explanation in found:
        assert explanation.draw_rank is not None and explanation.cutoff is not None
        assert (explanation.draw_rank <= explanation.cutoff) == (explanation.fate == "kept")


def test_a_model_card_shows_both(project: Path) -> None:
    card = _composition(manifest_of(compose(write(project, BY_ROWS))))
    assert "| module | version | records | asked | realised | licence |" in card
    assert "| `t/a` | `1` | 55 | `55 rows` | `55 rows` | `MIT` |" in card


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"modules": {"t/a": {"rows": 41, "max_repeat": 1}}},
         "mix.config:1: modules.t/a.max_repeat: modules.t/a.rows makes 41 lines of 40 usable"),
        ({"modules": {"t/a": {"rows": 41, "share": "1%"}}},
         "mix.config:1: modules.t/a: rows and share: a module has one amount, say one"),
        ({"modules": {"t/a": {"rows": 41}}, "training": {"weights": {"t/a": 1}}},
         "mix.config:1: training.weights.t/a: a second amount: modules.t/a says one already"),
        ({"modules": {"t/a": {"share": "0%"}, "t/b": True}},
         "mix.config:1: modules.t/a.share: found 0%, expected more than 0 and 100% at most"),
        ({"modules": {"t/a": {"share": 0.1}, "t/b": True}},
         "mix.config:1: modules.t/a.share: found 0.1, expected a share such as 10% or 1/3"),
        ({"modules": {"t/a": {"rows": "1.5"}}},
         "mix.config:1: modules.t/a.rows: found 1.5, expected a whole number above 0"),
        ({"modules": {"t/a": {"tokens": 5}}},
         "mix.config:1: modules.t/a.tokens: tokens are counted by a tokenizer, and the config"),
        ({"modules": {"t/a": {"share": "5%"}, "t/b": True}, "amounts": {"share_of": "tokens"}},
         "mix.config:1: amounts.share_of: tokens are counted by a tokenizer, and the config"),
        ({"modules": {"t/a": {"share": "60%"}, "t/b": {"share": "50%"}, "t/c": True}},
         "mix.config:1: modules.t/b.share: the shares sum to 110%, over 100%"),
        ({"modules": {"t/a": True}, "groups": {"g": {"modules": ["t/x"]}}},
         "mix.config:1: groups.g.modules[0]: t/x is not a module of this config; did you mean t/a"),
        ({"modules": {"t/a": False, "t/b": True}, "groups": {"g": {"modules": ["t/a"]}}},
         "mix.config:1: groups.g.modules[0]: t/a is off; turn it on, or take it out of the group"),
        ({"modules": {"t/a": {"rows": 5}}, "groups": {"g": {"modules": ["t/a"]}}},
         "mix.config:1: groups.g.modules[0]: a second amount: modules.t/a.rows says one already"),
        ({"modules": {"t/a": True}, "groups": {"g": {"modules": ["t/a"]}},
          "training": {"weights": {"t/a": 2}}},
         "mix.config:1: groups.g.modules[0]: a second amount: training.weights.t/a says one"),
        ({"modules": {"t/a": True}, "groups": {"g": {"modules": ["t/a"]},
                                               "h": {"modules": ["t/a"]}}},
         "mix.config:1: groups.h.modules[0]: t/a is in groups.g already; a module is in one group"),
        ({"modules": {"t/a": True}, "groups": {"g": {"modules": ["t/a"], "temperature": 0}}},
         "mix.config:1: groups.g.temperature: found 0, expected a number not below 0.01"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_at_its_place(
    config: dict[str, Any], told: str, project: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        teapot.plan(write(project, config))
    (problem,) = (str(problem) for problem in caught.value.problems)
    assert told in problem


def test_a_share_of_a_module_without_a_usable_record_is_refused(project: Path) -> None:
    write_module(project, "t/n", chat_rows("a", 3))
    config = {
        "modules": {"t/n": {"share": "5%"}, "t/a": True},
        "duplicates": {"policy": "drop", "prefer": ["t/a"]},
    }
    with pytest.raises(ConfigError) as caught:
        teapot.compose(write(project, config), MixOptions(), output=project / "mix.jsonl")
    assert "modules.t/n.share: it has no usable record to make 5% of the mix from" in str(
        caught.value
    )
    assert not (project / "mix.jsonl").exists()


def test_a_config_of_another_amount_than_the_composition_is_told(project: Path) -> None:
    recipe = manifest_of(compose(write(project, BY_ROWS))).recipe
    other = {
        **BY_ROWS, "modules": {**BY_ROWS["modules"], "t/a": {"rows": 56}, "t/b": {"repeat": 1}},
        "groups": {"langs": {"modules": ["t/d", "t/e"], "temperature": 3, "rows": 100}},
    }  # fmt: skip
    config = load_config(write(project, other)).config
    assert config_differences(config, recipe) == [
        "amount of t/a: the config says 56 rows, the composition was made with 55 rows",
        "max_repeat of t/a: the config says None, the composition was made with 4",
        "amount of t/b: the config says weight 1, the composition was made with 10% of rows",
        "amount of t/d: the config says part of langs of 100 rows, temperature 3, the composition "
        "was made with part of langs of 100 rows, temperature 2",
        "amount of t/e: the config says part of langs of 100 rows, temperature 3, the composition "
        "was made with part of langs of 100 rows, temperature 2",
        "groups.langs: the config says t/d, t/e, temperature 3, 100 rows, the composition was made "
        "with t/d, t/e, temperature 2, 100 rows",
    ]


@pytest.mark.parametrize("temperature", ["0.01", "0.112345678901234567e-1", "1000"])
def test_every_temperature_that_a_config_can_say_verifies(temperature: str, project: Path) -> None:
    groups = {"g": {"modules": ["t/a", "t/b"], "temperature": "T", "rows": 20}}
    path = write(project, {"modules": {"t/a": True, "t/b": True}, "groups": groups})
    path.write_text(path.read_text().replace('"T"', temperature))
    made = compose(path)
    assert read_manifest(made.paths.manifest.read_bytes(), "m").data.records == 20


def test_every_weight_that_a_config_can_say_verifies(project: Path) -> None:
    path = write(project, {"modules": {"t/a": {"repeat": "W"}, "t/b": True}})
    path.write_text(path.read_text().replace('"W"', "0.512345678901234567e-1"))
    made = compose(path)
    assert read_manifest(made.paths.manifest.read_bytes(), "m").recipe.modules[0].weight


def test_a_manifest_of_a_weight_beyond_all_numbers_is_refused(project: Path) -> None:
    made = compose(write(project, {"modules": {"t/a": True}}))
    value = loads(made.paths.manifest.read_bytes())
    for stated in (build(value)["modules"][0], counts(value, 0)):
        stated["weight"] = "1" + "0" * 5000
    with pytest.raises(DataError, match="weight: found the text '1000"):
        read_manifest(dumps_readable(value), "m")


def test_sign_says_which_amount_does_not_follow(project: Path) -> None:
    made = compose(write(project, BY_ROWS), signed=False)
    value = loads(made.paths.manifest.read_bytes())
    build(value)["modules"][0].update(max_repeat="1")
    parameters = value["predicate"]["buildDefinition"]["externalParameters"]
    parameters["recipe_sha256"] = Recipe.from_dict(parameters["recipe"]).sha256()
    made.paths.manifest.write_bytes(dumps_readable(value))
    with pytest.raises(DataError) as caught:
        sign_manifest(made.paths.manifest, signer(), manifest_only=True)
    told = str(caught.value)
    assert "recipe: it asks for what cannot be had: modules.t/a.max_repeat" in told
    assert told.endswith("nothing was signed: compose again")
