"""The card: what the Hub reads of it, what people read, and that no name in it does anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from teapot.cardbody import CardFacts, block, code, visible
from teapot.model.report import Amount, SourceReport
from teapot.model.trainstatement import StartingPoint, TrainStatement
from teapot.modelcard import card_block, card_faults, card_text
from tests.support.compositions import make
from tests.support.finetunes import PROMPT, WEIGHTS, outcome_for, plan_for, verified

EVIL = "a`|<b>\x1b[2J\u202e\n# x"


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> CardFacts:
    composition = verified(make(tmp_path_factory.mktemp("mix")), allow_unsigned=True)
    plan = plan_for(composition)
    statement = TrainStatement.of(
        plan, outcome_for(plan), manifest=composition.manifest, weights={WEIGHTS: "6" * 64},
        versions={"teapot": "0"},
    )  # fmt: skip
    return CardFacts(
        statement=statement, manifest=composition.manifest, system_prompt=PROMPT, is_signed=True,
        is_data_signed=True, first_loss="2.2500", has_curve=True,
    )  # fmt: skip


def licensed(facts: CardFacts, *names: str) -> CardFacts:
    licenses = {name: Amount(lines=1, characters=1, tokens=None) for name in names}
    report = replace(facts.manifest.report, licenses=licenses)
    return replace(facts, manifest=replace(facts.manifest, report=report))


def trained(facts: CardFacts, **changed: Any) -> CardFacts:
    numbers = replace(facts.statement.hyperparameters, **changed)
    return replace(facts, statement=replace(facts.statement, hyperparameters=numbers))


def started(facts: CardFacts, **changed: Any) -> CardFacts:
    start: StartingPoint = replace(facts.statement.start, **changed)
    return replace(facts, statement=replace(facts.statement, start=start))


def test_the_hub_reads_back_what_was_meant(facts: CardFacts, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(card_text(facts), encoding="utf-8")
    card = ModelCard.load(path)
    statement, composed = facts.statement, facts.statement.composed
    assert card.data.to_dict() == {
        "base_model": "swiss-ai/Apertus-8B-Instruct-2509", "base_model_relation": "adapter",
        "library_name": "peft", "license": "other", "license_name": "Apache-2.0 AND MIT",
        "pipeline_tag": "text-generation", "tags": ["teapot", "lora", "qlora", "apertus"],
        "teapot": {
            "manifest_sha256": composed.manifest_sha256, "data_sha256": composed.data_sha256,
            "records": 27, "base": "apertus", "base_model": "swiss-ai/Apertus-8B-Instruct-2509",
            "base_revision": "a" * 40, "signed": True,
            "train_statement": {"name": "train.statement.json", "sha256": statement.sha256()},
        },
    }  # fmt: skip
    assert str(card) == path.read_text(encoding="utf-8") == card_text(facts)


def test_people_read_what_it_is_and_how_to_check_it(facts: CardFacts) -> None:
    text = card_text(facts)
    for told in (
        "# `mix`, a fine-tune of `swiss-ai/Apertus-8B-Instruct-2509`",
        "| LoRA | r 64, alpha 128, dropout `0.05` |",
        "| `t/b` | `1` | 16 | 2.3 | `MIT` |",
        "| `Apache-2.0` | 4 |",
        "began at `2.2500` and ended at `0.8125`",
        "![The loss of each step](loss.png)",
        f"```\n{PROMPT}\n```",
        "teapot audit . --composition",
        f"--expect {facts.statement.composed.manifest_sha256}",
        "tokenizer.apply_chat_template(",
        "--jinja -sysf system-prompt.txt",
    ):
        assert told in text
    assert "unsigned" not in text and "not signed" not in text


def test_the_card_says_how_much_is_under_each_licence(facts: CardFacts) -> None:
    report = facts.manifest.report
    part = report.licenses["Apache-2.0"]
    text = card_text(facts)
    assert "| licence | records | characters |" in text
    assert f"| `Apache-2.0` | 4 | {part.characters:,} |" in text
    counted = {name: replace(amount, tokens=1234) for name, amount in report.licenses.items()}
    report = replace(report, licenses=counted, total=replace(report.total, tokens=2468))
    text = card_text(replace(facts, manifest=replace(facts.manifest, report=report)))
    assert "| licence | records | tokens |" in text
    assert "| `Apache-2.0` | 4 | 1,234 |" in text


def test_what_reproduces_the_model_takes_the_numbers_that_it_was_trained_with(
    facts: CardFacts,
) -> None:
    text = card_text(trained(facts, learning_rate="0.001"))
    model = f"swiss-ai/Apertus-8B-Instruct-2509@{'a' * 40}"
    assert f"\nteapot train CONFIG --base apertus --model {model}\n" in text
    assert "CONFIG stands for a config with that recipe, and with the numbers" in text
    assert "teapot train mix.manifest.json" not in text


def test_an_empty_prompt_is_told_in_words(facts: CardFacts) -> None:
    text = card_text(replace(facts, system_prompt=""))
    assert "trained with an empty one, and so `system-prompt.txt` is empty" in text
    assert "```\n\n```" not in text


def test_what_is_not_there_is_not_told(facts: CardFacts) -> None:
    text = card_text(replace(facts, first_loss=None, has_curve=False, system_prompt=None))
    assert "The last loss was `0.8125`" in text
    for absent in ("loss.png", "system-prompt.txt", "language:", "datasets:"):
        assert absent not in text


def test_the_head_names_the_languages_of_modules_that_have_lines(facts: CardFacts) -> None:
    manifest = facts.manifest
    first, *others = manifest.recipe.modules
    modules = (
        replace(first, languages=("en", "cs")),
        *(replace(module, languages=("dz", "en")) for module in others),
    )
    recipe = replace(manifest.recipe, modules=modules)
    spoken = replace(facts, manifest=replace(manifest, recipe=recipe))
    assert ModelCard(card_text(spoken)).data.language == ["cs", "dz", "en"]
    counted, *rest = manifest.report.modules
    report = replace(
        manifest.report, modules=(counted, *(replace(module, lines=0) for module in rest))
    )
    silent = replace(facts, manifest=replace(manifest, recipe=recipe, report=report))
    assert ModelCard(card_text(silent)).data.language == ["cs", "en"]


def test_a_lack_of_signatures_is_told_plainly(facts: CardFacts) -> None:
    text = card_text(replace(facts, is_signed=False, is_data_signed=False))
    assert "**This model is not signed:**" in text and "  signed: false\n" in text
    assert "**The composition was taken unsigned:**" in text
    assert "teapot verify . --allow-unsigned" in text


@pytest.mark.parametrize(
    ("names", "license"),
    [
        (["MIT"], {"license": "mit"}),
        (["CC-BY-SA-4.0"], {"license": "cc-by-sa-4.0"}),
        (["LicenseRef-own"], {"license": "other", "license_name": "LicenseRef-own"}),
        (["MIT OR Apache-2.0"], {"license": "other", "license_name": "MIT OR Apache-2.0"}),
        (["MIT", "Apache-2.0 OR BSD-3-Clause"],
         {"license": "other", "license_name": "(Apache-2.0 OR BSD-3-Clause) AND MIT"}),
    ],
)  # fmt: skip
def test_the_licence_is_one_that_the_hub_knows_or_the_expression(
    names: list[str], license: dict[str, str], facts: CardFacts
) -> None:
    found = ModelCard(card_text(licensed(facts, *names))).data.to_dict()
    assert {key: found[key] for key in found if key.startswith("license")} == license


def test_data_sets_of_the_hub_are_named_once(facts: CardFacts) -> None:
    uris = ("hf://datasets/o/n/a.jsonl", "hf://datasets/o/n/b.jsonl", "hf://datasets/a/b/c/train",
            "t-a.jsonl", "hf://datasets/odd")  # fmt: skip
    source: SourceReport = facts.manifest.report.sources[0]
    report = replace(facts.manifest.report, sources=tuple(replace(source, uri=uri) for uri in uris))
    text = card_text(replace(facts, manifest=replace(facts.manifest, report=report)))
    assert ModelCard(text).data.datasets == ["a/b", "o/n"]


def test_a_folder_or_a_full_fine_tune_is_told_as_what_it_is(facts: CardFacts) -> None:
    data = ModelCard(card_text(started(facts, model="tiny", revision=None))).data.to_dict()
    assert "base_model" not in data and "base_model_relation" not in data
    assert (data["teapot"]["base_model"], data["teapot"]["base_revision"]) == ("tiny", None)
    text = card_text(trained(facts, method="full", quantization=None))
    data = ModelCard(text).data.to_dict()
    assert (data["base_model_relation"], data["library_name"]) == ("finetune", "transformers")
    assert data["tags"] == ["teapot", "apertus"]
    assert "peft" not in text.split("---\n")[2].lower() and "LoRA" not in text


def test_no_name_of_a_manifest_does_anything(facts: CardFacts) -> None:
    modules = [replace(module, name=EVIL) for module in facts.manifest.report.modules]
    recipes = [replace(module, name=EVIL) for module in facts.manifest.recipe.modules]
    manifest = replace(
        licensed(facts, EVIL).manifest,
        recipe=replace(facts.manifest.recipe, modules=tuple(recipes)),
    )
    manifest = replace(manifest, report=replace(manifest.report, modules=tuple(modules)))
    prompt = "```\n# not a heading\n\x1b[2J"
    text = card_text(replace(facts, manifest=manifest, system_prompt=prompt))
    assert "\x1b" not in text and "\u202e" not in text
    body = text.split("\n---\n", 1)[1]
    assert "\n# x" not in body and "<b>" not in body
    assert "````\n```\n# not a heading\n\\x1b[2J\n````" in body
    assert ModelCard(text).data["license_name"] == visible(EVIL)


@given(st.text(max_size=30))
def test_a_name_stays_one_cell_and_one_line(name: str) -> None:
    shown = code(name)
    assert shown.isprintable() and shown
    assert "|" not in shown.replace("\\|", "")
    assert shown.count("`") - shown.count("\\`") in (0, 2)


@given(st.text(alphabet="`~a\n", max_size=30))
def test_a_block_ends_where_it_was_meant_to(text: str) -> None:
    first, *inside, last = block(text).split("\n")
    assert first == last and not any(line.startswith(first) for line in inside)


def faults(text: str, facts: CardFacts, *, is_signed: bool = True) -> list[str]:
    return list(card_faults(text, card_block(facts.statement, is_signed=is_signed)))


def test_the_block_of_a_card_is_that_of_its_statement(facts: CardFacts) -> None:
    text = card_text(facts)
    assert faults(text, facts) == []
    assert faults(text, facts, is_signed=False) == ["signed: found True, expected False"]
    assert faults(text.replace("# `mix`", "# Another name"), facts) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("records: 27", "records: 28"), "records: found 28, expected 27"),
        (lambda text: text.replace("records: 27", "records: '27'"), "records: found '27', expec"),
        (lambda text: text.replace("signed: true", "signed: True"), "the teapot: block is not wri"),
        (lambda text: text.replace("  records", "  more: 1\n  records"), "more: found 1, exp"),
        (lambda text: text.replace("teapot:\n", "teapod:\n"), "the head has no teapot: block"),
        (lambda text: text.replace("\nteapot:", "\nteapot: 1\nteapot:"), "the key stands twice"),
        (lambda text: text.removeprefix("---\n"), "it does not begin with a head of YAML"),
        (lambda text: "", "it does not begin with a head of YAML"),
        (lambda text: text.replace("\n", "\r\n"), "it does not begin with a head of YAML"),
    ],
)  # fmt: skip
def test_a_changed_block_is_told(change: Callable[[str], str], told: str, facts: CardFacts) -> None:
    (found,) = faults(change(card_text(facts)), facts)
    assert told in found
