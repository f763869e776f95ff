"""The card of a model: `README.md` of its folder, for people and for the Hub.

Pure: values in, text out, the same text for equal values. Its head is YAML that the Hub reads; the
`teapot:` block in it leads to the train statement, and so to every example. `card_faults` compares
that block, and nothing else of a card: what is written below for people is proven only by the
signature over the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from teapot.cardbody import CardFacts, card_body, visible
from teapot.errors import ConfigError
from teapot.model.exportstatement import EXPORT, ExportStatement
from teapot.model.manifest import Manifest
from teapot.model.trainstatement import STATEMENT, TrainStatement
from teapot.strictyaml import parse_yaml

BLOCK = "teapot"
_DATASET = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/.*")
_HUB_LICENSES = frozenset((
    "afl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "bsl-1.0", "c-uda-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0",
    "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "isc", "mit", "mpl-2.0", "ms-pl",
    "ncsa", "ofl-1.1", "osl-3.0", "postgresql", "unlicense", "wtfpl", "zlib",
))  # fmt: skip
"""SPDX ids, in lower case, that the Hub has as licences of its own."""


@dataclass(frozen=True, slots=True)
class _Head:
    """The YAML at the start of a card: its text with LF at the end, and what it says."""

    text: str
    value: Mapping[str, Any]


def card_text(facts: CardFacts) -> str:
    """Return the whole text of a card."""
    from huggingface_hub import ModelCard

    head = _metadata(facts).to_yaml(line_break="\n")
    return str(ModelCard(f"---\n{head}\n---\n\n{card_body(facts)}"))


def card_block(
    statement: TrainStatement, exported: ExportStatement | None = None, *, is_signed: bool
) -> dict[str, Any]:
    """Return what the `teapot:` block says of a model's statements."""
    composed, start = statement.composed, statement.start
    export = {} if exported is None else {"name": EXPORT, "sha256": exported.sha256()}
    return {
        "manifest_sha256": composed.manifest_sha256,
        "data_sha256": composed.data_sha256,
        "records": composed.records,
        "base": visible(statement.base),
        "base_model": visible(start.model),
        "base_revision": start.revision,
        "train_statement": {"name": STATEMENT, "sha256": statement.sha256()},
        **({"export_statement": export} if export else {}),
        "signed": is_signed,
    }


def card_faults(text: str, expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield where the `teapot:` block of a card is not the one expected, key by key."""
    try:
        head = _head(text)
    except ConfigError as error:
        yield from (str(problem) for problem in error.problems)
        return
    found = head.value.get(BLOCK)
    if not isinstance(found, Mapping):
        yield f"the head has no {BLOCK}: block"
        return
    for key in sorted({*expected, *found}, key=str):
        if not _is_same(found.get(key), expected.get(key)) or (key in found) != (key in expected):
            yield f"{key}: found {found.get(key)!r}, expected {expected.get(key)!r}"
            return
    if _block_text(expected) not in f"\n{head.text}":
        yield f"the {BLOCK}: block is not written as Teapot writes it"


def _is_same(found: object, expected: object) -> bool:
    """Tell whether two values are equal; in Python True == 1, but in a card it is not."""
    return type(found) is type(expected) and found == expected


def _block_text(block: Mapping[str, Any]) -> str:
    from huggingface_hub import ModelCardData

    named: dict[str, Any] = {BLOCK: dict(block)}
    return f"\n{ModelCardData(**named).to_yaml(line_break=chr(10))}\n"


def _head(text: str) -> _Head:
    """Return the head of a card.

    Raises:
        ConfigError: there is none, or it is not strict YAML.
    """
    start, end = "---\n", "\n---\n"
    if not text.startswith(start) or end not in text or "\r" in text:
        raise ConfigError("it does not begin with a head of YAML between lines of three hyphens")
    head = text[len(start) : text.index(end) + 1]
    value = parse_yaml(head.encode("utf-8", "surrogatepass"), "head").value
    return _Head(head, value if isinstance(value, Mapping) else {})


def _metadata(facts: CardFacts) -> Any:
    from huggingface_hub import ModelCardData

    statement = facts.statement
    is_adapter = facts.is_adapter
    named: dict[str, Any] = {}
    if statement.start.revision is not None:  # the Hub takes only names of its own
        named["base_model"] = visible(statement.start.model)
        named["base_model_relation"] = "adapter" if is_adapter else "finetune"
    named |= _license(facts.manifest)
    named[BLOCK] = card_block(statement, facts.exported, is_signed=facts.is_signed)
    return ModelCardData(
        datasets=_datasets(facts.manifest) or None,
        language=_languages(facts.manifest) or None, tags=_tags(statement),
        pipeline_tag="text-generation", library_name="peft" if is_adapter else "transformers",
        **named,
    )  # fmt: skip


def _tags(statement: TrainStatement) -> list[str]:
    method = statement.hyperparameters.method
    kinds = {"qlora": ["lora", "qlora"], "lora": ["lora"], "full": []}
    return ["teapot", *kinds[method], statement.base]


def _datasets(manifest: Manifest) -> list[str]:
    """Return the data sets on the Hub that the sources name, each once."""
    found = (_DATASET.fullmatch(source.uri) for source in manifest.report.sources)
    return sorted({match[1] for match in found if match})


def _languages(manifest: Manifest) -> list[str]:
    """Return the languages that the modules with lines in the data declare, each once."""
    trained = {module.name for module in manifest.report.modules if module.lines}
    modules = [module for module in manifest.recipe.modules if module.name in trained]
    return sorted({language for module in modules for language in module.languages})


def _license(manifest: Manifest) -> dict[str, str]:
    """Return the licence as the Hub has it: one that it knows, or `other` with the expression."""
    names = sorted(name for name, part in manifest.report.licenses.items() if part.lines)
    if len(names) == 1 and names[0].lower() in _HUB_LICENSES:
        return {"license": names[0].lower()}
    parts = [f"({name})" if " " in name and len(names) > 1 else name for name in names]
    return {"license": "other", "license_name": visible(" AND ".join(parts))}
