"""The text that names whose data a mix is made of, by licence: Markdown, the same for equal values.

Pure. What licences ask is told by Teapot's licence data; names, addresses and people are what the
modules declare. No name in it is anything but a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from teapot.cardbody import code
from teapot.digest import sha256_hex
from teapot.errors import counted
from teapot.licenseterms import license_data
from teapot.model.attribution import AttributedPart, Attribution
from teapot.model.manifest import Manifest
from teapot.model.module import MIXED
from teapot.model.recipe import Recipe, RecipeModule, RecipeSource
from teapot.model.report import Amount, MixReport

FILE = "ATTRIBUTION.md"
_SPDX = "https://spdx.org/licenses/{}.html"
_OWN = "LicenseRef-"
_WORD = re.compile(r"[A-Za-z0-9.+-]+")
_JOINTS = frozenset(("AND", "OR", "WITH"))


def attributed(
    manifest: Manifest, name: str,
    *, parts: Sequence[AttributedPart], maintainers: Mapping[str, str],
) -> tuple[bytes, Manifest]:  # fmt: skip
    """Return the bytes of the file of that name, and the manifest with what it states of it."""
    text = attribution_text(
        manifest.data.name, manifest.recipe, manifest.report, parts=parts, maintainers=maintainers
    ).encode("utf-8")
    stated = Attribution(
        name=name, sha256=sha256_hex(text), maintainers=maintainers, parts=tuple(parts)
    )
    return text, replace(manifest, attribution=stated)


def attribution_of(manifest: Manifest) -> str:
    """Return the text for what a manifest states.

    A manifest that was composed without one tells no people, and no lines of a source.
    """
    stated = manifest.attribution
    parts = stated.parts if stated is not None else declared_parts(manifest.recipe)
    maintainers = stated.maintainers if stated is not None else {}
    return attribution_text(
        manifest.data.name, manifest.recipe, manifest.report, parts=parts, maintainers=maintainers
    )


def attribution_text(
    name: str, recipe: Recipe, report: MixReport,
    *, parts: Sequence[AttributedPart], maintainers: Mapping[str, str],
) -> str:  # fmt: skip
    """Return the whole text for a data file and what it was composed of."""
    version = license_data().version
    blocks = [
        f"# Attribution\n\nThe data file {code(name)} holds "
        f"{counted(report.total.lines, 'record')} from the sources below, by the licence of each "
        "record. Origins and people are as the modules declare them. What a licence asks is told "
        f"by Teapot's licence data, version {code(version)}: a reading of its text, and no legal "
        "advice."
    ]
    for license_, amount in sorted(report.licenses.items()):
        blocks.extend(_license(license_, amount))
        own = [part for part in parts if part.license == license_]
        blocks.append("Sources:")
        blocks.append("\n".join(_sources(own, recipe, maintainers)))
    return "\n\n".join(blocks) + "\n"


def declared_parts(recipe: Recipe) -> list[AttributedPart]:
    """Return each source under the licence that it declares, of lines that nobody counted."""
    pairs = [(module, source) for module in recipe.modules for source in module.sources]
    return [
        AttributedPart(
            module=module.name, source=source.id, license=source.license or module.license, lines=0
        )
        for module, source in pairs
        if (source.license or module.license) != MIXED
    ]


def _license(text: str, amount: Amount) -> Iterator[str]:
    size = (
        counted(amount.characters, "character")
        if amount.tokens is None
        else counted(amount.tokens, "token")
    )
    yield f"## {code(text)}\n\n{counted(amount.lines, 'record')}, {size}."
    for identity in _ids(text):
        yield from _terms(identity)


def _ids(text: str) -> list[str]:
    return [word for word in dict.fromkeys(_WORD.findall(text)) if word not in _JOINTS]


def _terms(identity: str) -> Iterator[str]:
    """Yield what one licence, or exception, of an expression is and asks."""
    data = license_data()
    link = "" if identity.startswith(_OWN) else f": <{_SPDX.format(identity)}>"
    known = data.licenses.get(identity)
    if known is None:
        yield f"{code(identity)}{link}; what it asks is not in the licence data"
        return
    yield f"{known.name} ({code(identity)}){link}"
    told = [f"- {term}: {data.terms[term]}" for term in sorted(known.terms)]
    yield "\n".join(told) or "- asks none of what the licence data tells of"


def _sources(
    parts: Sequence[AttributedPart], recipe: Recipe, maintainers: Mapping[str, str]
) -> Iterator[str]:
    sources = {(m.name, source.id): (m, source) for m in recipe.modules for source in m.sources}
    if not parts:
        yield "- rows that name it themselves; the manifest does not say of which source"
    for part in parts:
        module, source = sources[part.module, part.source]
        yield from _source(part, module, source, maintainers.get(part.module))


def _source(
    part: AttributedPart, module: RecipeModule, source: RecipeSource, maintainer: str | None
) -> Iterator[str]:
    told = counted(part.lines, "record") if part.lines else "records not counted"
    yield f"- {code(module.name)} {code(module.version)}, source {code(source.id)}: {told}"
    revision = f", revision {code(source.revision)}" if source.revision else ""
    yield f"  - from {code(source.uri)}{revision}, SHA-256 `{source.sha256}`"
    if maintainer is not None:
        yield f"  - maintained by {code(maintainer)}"
    declared = source.license or module.license
    if declared != part.license:
        yield f"  - these rows name the licence themselves; declared is {code(declared)}"
