"""What a model's card tells people, as Markdown in which no name is anything but a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shlex import quote

from teapot.canonical import dumps
from teapot.errors import counted
from teapot.model.exportstatement import EXPORT, ExportStatement
from teapot.model.likeness import Likeness
from teapot.model.manifest import Manifest
from teapot.model.report import MixReport, ModuleReport
from teapot.model.trainstatement import STATEMENT, Composed, TrainStatement

_UNSIGNED_DATA = (
    "**The composition was taken unsigned:** nobody trusted had vouched for it when training "
    "began. The digests here say which data it was, not whose."
)
_UNSIGNED_MODEL = (
    "**This model is not signed:** its digests agree with each other, and nobody vouches for them."
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What a card is made of.

    `is_signed` tells whether the train statement and the folder are signed, `is_data_signed`
    whether a trusted signer vouched for the composition. `first_loss` is decimal text. `exported`
    is the statement of an export, where the card is that of one.
    """

    statement: TrainStatement
    manifest: Manifest
    system_prompt: str | None
    is_signed: bool
    is_data_signed: bool
    first_loss: str | None = None
    has_curve: bool = False
    exported: ExportStatement | None = None
    has_attribution: bool = False

    @property
    def is_adapter(self) -> bool:
        """Tell whether the weights are an adapter's, which needs its base."""
        return self.exported is None and self.statement.hyperparameters.method != "full"


def card_body(facts: CardFacts) -> str:
    """Return the text below the head of a card."""
    parts = [
        _opening(facts), _recipe(facts.statement),
        _composition(facts.manifest, has_attribution=facts.has_attribution), _loss(facts),
        _prompt(facts.system_prompt), _usage(facts), _audit(facts), _again(facts),
        _limits(),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def visible(text: str) -> str:
    """Return text with its control characters, and marks of direction, as numbers."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def code(text: str) -> str:
    """Return a name as Markdown shows it in a cell or a sentence, whatever signs it has."""
    shown = visible(text)
    if shown.strip() == shown != "" and not re.search(r"[`|\\]", shown):
        return f"`{shown}`"
    return _PUNCTUATION.sub(r"\\\1", shown) or "—"


def block(text: str, kind: str = "") -> str:
    """Return lines as a code block that nothing in them can end."""
    shown = "\n".join(map(visible, text.split("\n")))
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{shown}\n{fence}"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(headings)
    marks = ["--:" if head.startswith(">") else "---" for head in heads]
    lines = [[head.removeprefix(">") for head in heads], marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _stem(statement: TrainStatement) -> str:
    return statement.composed.data.removesuffix(".jsonl")


def _opening(facts: CardFacts) -> str:
    statement = facts.statement
    start, composed = statement.start, statement.composed
    at = f" at commit {code(start.revision)}" if start.revision else ", a folder of that name"
    kind = "adapter" if facts.is_adapter else "fine-tune"
    lines = [
        f"# {code(_stem(statement))}, a fine-tune of {code(start.model)}",
        "",
        f"This {kind} was trained from {code(start.model)}{at}, on "
        f"{_records(composed, facts.manifest)}. Whoever has this folder can walk from here to "
        "each of them: see [how to verify and audit](#how-to-verify-and-audit).",
    ]  # fmt: skip
    if facts.exported is not None:
        lines += ["", _told_of_export(facts.exported)]
    if not facts.is_data_signed:
        lines += ["", _UNSIGNED_DATA]
    if not facts.is_signed:
        lines += ["", _UNSIGNED_MODEL]
    return "\n".join(lines)


def _records(composed: Composed, manifest: Manifest) -> str:
    """Return what was trained on; fewer epochs than have an order need not use every record."""
    records, data = counted(composed.records, "record"), code(composed.data)
    trained, epochs = len(composed.orders), len(manifest.orders)
    if trained == epochs:
        return f"{records} of the composition {data}"
    told = "the first epoch" if trained == 1 else f"the first {trained} epochs"
    return f"the records of {told} of the {epochs} of the composition {data}, which has {records}"


def _told_of_export(exported: ExportStatement) -> str:
    check = exported.check
    return (
        f"An adapter was trained, and merged into the base in {code(exported.dtype)}. On "
        f"{counted(check.tokens, 'token')} that were drawn, the logits differ by "
        f"{code(check.error)} (root mean square) from those of base and adapter, which differ by "
        f"{code(check.effect)} from the base's alone; their own is {code(check.size)}."
    )


def _recipe(statement: TrainStatement) -> str:
    numbers = statement.hyperparameters
    rows = {"base": code(statement.base), "method": code(numbers.method)}
    if numbers.quantization:
        twice = ", double quantisation" if numbers.double_quantization else ""
        rows["quantisation"] = f"{code(numbers.quantization)}{twice}"
    if numbers.method != "full":
        rows["LoRA"] = (
            f"r {numbers.lora_r}, alpha {numbers.lora_alpha}, dropout {code(numbers.lora_dropout)}"
        )
        rows["LoRA targets"] = ", ".join(map(code, statement.lora_targets))
    rows |= {
        "compute type": code(numbers.compute_dtype), "epochs": code(numbers.epochs),
        "examples a step": f"{numbers.effective_batch:,}",
        "optimizer steps": f"{statement.run.steps:,}",
        "learning rate": f"{code(numbers.learning_rate)}, {code(numbers.scheduler)}, "
        f"warmup {code(numbers.warmup_ratio)}",
        "tokens of a row at most": f"{numbers.max_length:,}", "seed": str(numbers.seed),
        "tokens": f"{statement.run.tokens:,}, of which {statement.run.supervised:,} were trained",
        "device": code(statement.run.device),
    }  # fmt: skip
    return (
        f"## Recipe\n\n{_table(['what', 'value'], rows.items())}\n\n`plan.json` has every number."
    )


def _composition(manifest: Manifest, *, has_attribution: bool = False) -> str:
    report, recipe = manifest.report, {module.name: module for module in manifest.recipe.modules}
    modules = [
        [code(m.name), code(m.version), f"{m.lines:,}", *_an_epoch(m), *_asked(report, m),
         code(recipe[m.name].license)]
        for m in report.modules if m.name in recipe
    ]  # fmt: skip
    is_counted = report.total.tokens is not None
    licenses = [
        [code(name), f"{part.lines:,}", f"{part.tokens or 0 if is_counted else part.characters:,}"]
        for name, part in report.licenses.items()
    ]
    asked = [">asked", ">realised"] if report.has_amounts else [">weight"]
    lines = [">records"] if report.epochs is None else [">records", ">lines an epoch"]
    by_module = _table(["module", "version", *lines, *asked, "licence"], modules)
    by_license = _table(
        ["licence", ">records", ">tokens" if is_counted else ">characters"], licenses
    )
    named = "Whose data it is: [ATTRIBUTION.md](ATTRIBUTION.md)."
    tail = f"\n\n{named}" if has_attribution else ""
    epochs = f"{_told_of_epochs(report)} " if report.epochs is not None else ""
    tail = f"{_held(manifest)}{tail}"
    return (
        f"## Composition\n\n{by_module}\n\n{epochs}A module's licence is that of its rows that "
        f"name none of their own. By the licence of each record:\n\n{by_license}{tail}"
    )


_RELATIVES = {
    "exact": "with all records of equal content",
    "normalized": "with all records of the same words",
    "near": "with all records that are near to them",
}


def _held(manifest: Manifest) -> str:
    held = manifest.validation
    if held is None:
        return ""
    relatives = _RELATIVES[Likeness.from_written(manifest.recipe.split).match]
    return (
        f"\n\nNot trained on: {manifest.report.split_told}, in {code(held.name)}, SHA-256 "
        f"{code(held.sha256)}, {relatives}."
    )


def _an_epoch(module: ModuleReport) -> tuple[str, ...]:
    return () if module.epoch_lines is None else (f"{module.epoch_lines:,}",)


def _told_of_epochs(report: MixReport) -> str:
    return (
        f"Each record stands in the data once. An epoch has {counted(report.examples, 'line')}, "
        "drawn and ordered anew from the same ranks; its order is a file that the manifest states, "
        "and it was verified as the data was before it was trained from."
    )


def _asked(report: MixReport, module: ModuleReport) -> tuple[str, ...]:
    if report.has_amounts:
        return code(module.asked), code(report.realised(module))
    return (module.weight_text,)


def _loss(facts: CardFacts) -> str:
    last = code(facts.statement.run.final_loss)
    told = f"The last loss was {last}"
    if facts.first_loss is not None:
        told = f"The loss began at {code(facts.first_loss)} and ended at {last}"
    curve = "\n\n![The loss of each step](loss.png)" if facts.has_curve else ""
    held = _validation(facts.statement)
    return f"## Loss\n\n{told}; `metrics.jsonl` has every step.{held}{curve}"


def _validation(statement: TrainStatement) -> str:
    held = statement.run.validation
    if held is None:
        return ""
    rows = [[code(part.epoch), f"{part.step:,}", code(part.loss)] for part in held.losses]
    return (
        f"\n\nOn {counted(held.supervised, 'supervised token')} of {held.rows:,} of "
        f"{counted(held.records, 'record')} in {code(held.name)} (SHA-256 {code(held.sha256)}), "
        f"none of them trained on, the mean loss was:\n\n"
        f"{_table(['epoch', '>step', '>validation loss'], rows)}"
    )


def _prompt(prompt: str | None) -> str:
    if prompt is None:
        return "## System prompt\n\nRows were trained without one, where they brought none."
    if not prompt:
        return (
            "## System prompt\n\nRows that brought none of their own were trained with an empty "
            "one, and so `system-prompt.txt` is empty. Give the model the same."
        )
    return (
        "## System prompt\n\nRows that brought none of their own were trained with the text in "
        f"`system-prompt.txt`. Give the model the same:\n\n{block(prompt)}"
    )


def _usage(facts: CardFacts) -> str:
    start, is_full = facts.statement.start, not facts.is_adapter
    at = [f"    revision={_quoted(start.revision)},"] if start.revision else []
    place = ["    folder,"] if is_full else [f"    {_quoted(start.model)},", *at]
    lines = [
        *(() if is_full else ("from peft import PeftModel",)),
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "."  # where this file lies',
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        "model = AutoModelForCausalLM.from_pretrained(",
        *place,
        '    dtype="auto",',
        '    device_map="auto",',
        ")",
        *(() if is_full else ("model = PeftModel.from_pretrained(model, folder)",)),
        'messages = [{"role": "user", "content": "What is a teapot?"}]',
        *_given_prompt(facts.system_prompt),
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ").to(model.device)",
        "output = model.generate(**inputs, max_new_tokens=512)",
        'print(tokenizer.decode(output[0][inputs["input_ids"].shape[1] :]))',
    ]
    return (
        f"## How to use\n\nWith transformers{'' if is_full else ' and PEFT'}:\n\n"
        f"{block(chr(10).join(lines), 'python')}\n\n"
        "With llama.cpp, which takes the chat template by `--jinja`:\n\n"
        f"{block(chr(10).join(_llama(facts, is_full=is_full)), 'sh')}"
    )


def _quoted(text: str) -> str:
    """Return text as Python writes it between double quotes."""
    return dumps(text).decode("utf-8")


def _given_prompt(prompt: str | None) -> Iterator[str]:
    if prompt is not None:
        yield 'prompt = open(f"{folder}/system-prompt.txt", encoding="utf-8").read()'
        yield 'messages.insert(0, {"role": "system", "content": prompt})'


def _llama(facts: CardFacts, *, is_full: bool) -> Iterator[str]:
    prompt = "" if facts.system_prompt is None else " -sysf system-prompt.txt"
    if is_full:
        yield "python convert_hf_to_gguf.py . --outfile model.gguf"
        yield f"llama-cli -m model.gguf --jinja{prompt}"
        return
    yield "python convert_hf_to_gguf.py BASE_MODEL_FOLDER --outfile base.gguf"
    yield "python convert_lora_to_gguf.py . --base BASE_MODEL_FOLDER --outfile adapter.gguf"
    yield f"llama-cli -m base.gguf --lora adapter.gguf --jinja{prompt}"


def _audit(facts: CardFacts) -> str:
    composed = facts.statement.composed
    unsigned = "" if facts.is_signed and facts.is_data_signed else " --allow-unsigned"
    commands = [
        f"teapot verify .{unsigned}",
        f"teapot audit .{unsigned} --composition FOLDER_OF_THE_DATA",
        f"teapot audit .{unsigned} --composition FOLDER_OF_THE_DATA --example 1",
    ]
    weights = (facts.exported or facts.statement).weights
    digests = [["weights " + code(name), f"`{sha256}`"] for name, sha256 in weights.items()]
    if facts.exported is not None:
        digests.append([f"export statement `{EXPORT}`", f"`{facts.exported.sha256()}`"])
    digests += [
        [f"train statement `{STATEMENT}`", f"`{facts.statement.sha256()}`"],
        ["manifest " + code(composed.manifest), f"`{composed.manifest_sha256}`"],
        ["data " + code(composed.data), f"`{composed.data_sha256}`"],
        *(["order " + code(order.name), f"`{order.sha256}`"] for order in composed.orders),
    ]
    return (
        f"## How to verify and audit\n\n{block(chr(10).join(commands), 'sh')}\n\n"
        "The first compares every file here with what was stated of it; the others walk from "
        "this card to the train statement, the manifest, the ledger and the row of a source, "
        "offline. Both believe only keys that you trust: get the signer's public key from somebody "
        "who knows them, and run `teapot trust add NAME PUBLIC_KEY`.\n\n"
        f"{_table(['what', 'SHA-256'], digests)}"
    )


def _again(facts: CardFacts) -> str:
    statement = facts.statement
    composed, start = statement.composed, statement.start
    at = f"@{start.revision}" if start.revision else ""
    model = f"--model {quote(start.model + at)}"
    commands = [
        f"teapot compose CONFIG -o {quote(composed.data)}",
        f"teapot verify {quote(composed.data)} --expect {composed.manifest_sha256}",
        f"teapot train CONFIG --base {quote(statement.base)} {model}",
    ]
    if facts.exported is not None:
        made = f"{_stem(statement)}-{statement.base}"
        where = "" if start.revision else f" {model}"
        commands.append(
            f"teapot export {quote(facts.exported.format)} {quote(made)}{where} "
            f"-o {quote(made)}-merged"
        )
    return (
        "## How to reproduce\n\nThe manifest holds the recipe of the composition, and each source "
        "with its digest. CONFIG stands for a config with that recipe, and with the numbers and "
        "the system prompt above. Where those are Teapot's defaults, `teapot train` takes "
        f"{code(composed.manifest)} in its place.\n\n"
        f"{block(chr(10).join(commands), 'sh')}\n\n"
        "Composing gives the same bytes on every machine. Training gives the same weights only on "
        "the same kind of device with the same versions of the libraries, which the train "
        "statement lists."
    )


def _limits() -> str:
    lines = [
        "The chain proves which records were stated as the data of this training, and by whom. It "
        "does not prove that training used nothing else: that rests on the signer's word.",
        "Nobody has checked by this that the data is true, lawful or harmless, nor what the model "
        "says.",
        "The base model has limits, a licence and data of its own; nothing here is about them.",
    ]
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)
