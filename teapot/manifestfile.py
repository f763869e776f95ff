"""Reading a manifest: strict JSON, its schema, safe names, and nothing that it says two ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from teapot.amounts import Usable, solve, unique_lines
from teapot.canonical import loads
from teapot.errors import DataError, Problem
from teapot.files import OutputPaths
from teapot.ledgercolumns import NEAR_DUPLICATE
from teapot.licenseterms import PROFILES, license_data
from teapot.licensing import LicensePolicy, allowed_by
from teapot.model.amount import share_of_text, share_text
from teapot.model.config import License
from teapot.model.manifest import DataFile, Manifest
from teapot.model.recipe import Recipe
from teapot.model.record import Fault
from teapot.model.report import HELD_OUT, ModuleReport
from teapot.names import file_fault
from teapot.recipeclaims import likeness_faults, screen_faults
from teapot.shards import shard_spans
from teapot.statementfile import read_object, refuse_other_form

MAX_BYTES = 64 << 20
_ORDER_BYTES = 4
_AFTER_VERDICTS = ("curated", "unreviewed", "duplicate", NEAR_DUPLICATE, HELD_OUT)
"""Why rows are dropped that had passed every check, so that verdicts were asked for them."""


def read_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in a file's bytes; `where` is shown in errors.

    Raises:
        DataError: it is not strict JSON, does not fit the schema, names a file that is not beside
            it, or is not written as Teapot writes it.
    """
    value = read_object(data, where, schema="manifest", max_bytes=MAX_BYTES)
    manifest = Manifest.from_dict(value)
    problems = [Problem(where, fault) for fault in _name_faults(manifest)]
    if problems:
        raise DataError(*problems)
    _refuse_other_form(data, manifest, where)
    return manifest


def number_faults(manifest: Manifest) -> Iterator[str]:
    """Yield every sum in a manifest that does not add up."""
    report, data = manifest.report, manifest.data
    for module in report.modules:
        dropped = sum(module.dropped.values())
        if module.read != module.kept + module.unused + dropped:
            yield (
                f"{module.name}: {module.read} rows read, but {module.kept} kept, {module.unused} "
                f"unused and {dropped} dropped"
            )
        if module.usable != module.kept + module.unused:
            told = f"{module.usable} usable, but {module.kept} kept and {module.unused} unused"
            yield f"{module.name}: {told}"
        if (module.cutoff is not None) != bool(module.usable and module.lines % module.usable):
            told = "a cut-off is stated where nothing was drawn, or none where something was"
            yield f"{module.name}: {told}"
        read = sum(source.rows for source in report.sources if source.module == module.name)
        if read != module.read:
            yield f"{module.name}: {module.read} rows read, but its sources have {read}"
    held = manifest.validation
    parts = {
        "records held out": (held.records if held is not None else 0, report.held_out),
        "rows of the ledger": (manifest.ledger.rows, sum(m.read for m in report.modules)),
        "lines by module": (data.records, sum(m.lines for m in report.modules)),
        "lines by licence": (data.records, sum(a.lines for a in report.licenses.values())),
        "characters by module": (
            report.total.characters, sum(m.characters for m in report.modules)
        ),
        "characters by licence": (
            report.total.characters, sum(a.characters for a in report.licenses.values())
        ),
    }  # fmt: skip
    tokens = [m.tokens for m in report.modules]
    tokens += [amount.tokens for amount in report.licenses.values()]
    counted = {part is not None for part in [report.total.tokens, *tokens]}
    if counted != {manifest.tokenizer is not None}:
        yield "tokens: counted in one place and not in another"
    elif manifest.tokenizer is not None:
        whole = report.total.tokens or 0
        parts["tokens by module"] = whole, sum(m.tokens or 0 for m in report.modules)
        parts["tokens by licence"] = whole, sum(a.tokens or 0 for a in report.licenses.values())
    yield from _attribution_faults(manifest)
    left = sum(m.dropped.get(NEAR_DUPLICATE, 0) for m in report.modules)
    if report.near_duplicates is not None and manifest.recipe.duplicates == "drop":
        parts["near duplicates"] = report.near_duplicates, left
    else:
        parts["near duplicates dropped"] = 0, left
    yield from _order_faults(manifest)
    if data.shards:
        parts["bytes by shard"] = data.bytes, sum(shard.bytes for shard in data.shards)
        yield from _shard_faults(data)
    for what, (stated, summed) in parts.items():
        if stated != summed:
            yield f"{what}: stated {stated}, the parts sum to {summed}"


def _attribution_faults(manifest: Manifest) -> Iterator[str]:
    """Yield every licence or module whose attributed lines are not its lines."""
    if manifest.attribution is None:
        return
    report, by = manifest.report, (Counter[str](), Counter[str]())
    sources = {(source.module, source.id) for source in report.sources}
    for part in manifest.attribution.parts:
        by[0][part.license] += part.lines
        by[1][part.module] += part.lines
        if (part.module, part.source) not in sources:
            yield f"attribution: no source {part.source} of {part.module} was read"
    stated = (
        {name: amount.lines for name, amount in report.licenses.items() if amount.lines},
        {module.name: module.lines for module in report.modules if module.lines},
    )
    for what, lines, summed in zip(("licence", "module"), stated, by, strict=True):
        if lines != summed:
            yield f"attribution: its lines by {what} are not those stated"


def _order_faults(manifest: Manifest) -> Iterator[str]:
    """Yield every order that has not the examples of its modules, or not their size."""
    examples = sum(module.epoch_lines or 0 for module in manifest.report.modules)
    for order in manifest.orders:
        if order.examples != examples:
            yield f"{order.name}: {order.examples} examples, the modules give {examples} an epoch"
        if order.bytes != _ORDER_BYTES * order.examples:
            told = f"{order.bytes} bytes, expected {_ORDER_BYTES} for each example"
            yield f"{order.name}: {told}, {order.examples}"


def _shard_faults(data: DataFile) -> Iterator[str]:
    """Yield every shard that has not the lines which it has by its number."""
    spans = shard_spans(data.records, len(data.shards))
    for shard, span in zip(data.shards, spans, strict=True):
        if shard.records != len(span):
            told = f"stated {shard.records}, {data.records} in {len(spans)} shards give {len(span)}"
            yield f"lines of {shard.name}: {told}"


def _curation_faults(module: ModuleReport, unreviewed: str) -> Iterator[str]:
    """Yield where what reviewers decided and what became of the rows contradict each other."""
    counts = module.curation
    if counts is None:
        return
    sums = {"verdicts": (sum(counts.verdicts.values()), counts.matched + counts.orphans)}
    sums["rows dropped"] = counts.rows.get("drop", 0), module.dropped.get("curated", 0)
    left = counts.rows.get("unreviewed", 0) if unreviewed == "drop" else 0
    sums["rows left out unreviewed"] = left, module.dropped.get("unreviewed", 0)
    if unreviewed == "fail":
        sums["rows that nobody reviewed"] = counts.rows.get("unreviewed", 0), 0
    gone = sum(module.dropped.get(reason, 0) for reason in _AFTER_VERDICTS)
    sums["rows"] = sum(counts.rows.values()), module.usable + gone
    for kind in ("edit", "move"):
        sums[f"rows by {kind}"] = (
            counts.rows.get(kind, 0),
            module.repaired.get(f"curated-{kind}", 0),
        )
    for what, (stated, summed) in sums.items():
        if stated != summed:
            yield f"{module.name}: {what}: the curation states {stated}, the rest sums to {summed}"


def recipe_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where the recipe and the account of what was read contradict each other."""
    recipe, report = manifest.recipe, manifest.report
    asked = [(m.name, m.version, m.weight) for m in recipe.modules]
    given = [(m.name, m.version, m.to_dict().get("weight")) for m in report.modules]
    if asked != given:
        yield "its modules, their versions or weights are not those of the account"
    else:
        yield from _amount_faults(manifest)
    pinned = [
        (m.name, s.id, s.uri, s.revision, s.sha256, s.rows) for m in recipe.modules
        for s in m.sources
    ]  # fmt: skip
    read = [(s.module, s.id, s.uri, s.revision, s.sha256, s.rows) for s in report.sources]
    if pinned != read:
        yield "its sources are not those that were read"
    for curated, module in zip(recipe.modules, report.modules, strict=False):
        if (curated.curation is None) != (module.curation is None):
            yield f"{module.name}: verdicts are in the recipe or in the account, not in both"
        elif curated.curation is not None:
            yield from _curation_faults(module, curated.curation.unreviewed)
    yield from screen_faults(manifest)
    if (recipe.likeness is None) != (report.near_duplicates is None):
        yield "near duplicates are in the recipe or in the account, not in both"
    yield from likeness_faults(recipe.likeness)
    yield from _split_faults(manifest)
    policy = LicensePolicy(None if recipe.licenses == "all" else tuple(recipe.licenses))
    yield from _profile_faults(recipe)
    for name in report.licenses:
        verdict = policy.judge(name)
        if isinstance(verdict, Fault) or not verdict.allowed:
            yield f"it does not allow the licence {name}, which is in the data"


def _split_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where a split is none, is written in another way, or has no file, or the reverse."""
    split = manifest.recipe.split
    if (split is None) != (manifest.validation is None):
        yield "it splits the mix and there is no validation file, or the other way round"
    if split is None:
        return
    text = split["validation"]
    share = share_of_text(text)
    if not 0 < share < 1:
        yield f"it holds out {text}, expected more than 0 and less than 100%"
    elif text != share_text(share):
        yield f"it holds out {text}, which is written {share_text(share)}"
    yield from likeness_faults(split)
    if manifest.recipe.likeness is not None and "threshold" in split:
        told = {key: split[key] for key in split if key != "validation"}
        if manifest.recipe.likeness["match"] == "near" and manifest.recipe.likeness != told:
            yield "what is near among duplicates is not what is near among rows held out"


def _amount_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where the lines of modules do not follow from what was asked and what is usable."""
    wrong = list(_misstated_amounts(manifest))
    if wrong:
        yield from wrong
        return
    asked, modules = manifest.recipe.asked(), manifest.report.modules
    usable = {
        module.name: Usable(records=module.usable, tokens=module.usable_tokens or 0)
        for module in modules
    }
    lines = solve(asked, usable)
    if isinstance(lines, tuple):
        yield from (f"it asks for what cannot be had: {conflict}" for conflict in lines)
        return
    for module in modules:
        if module.examples != lines[module.name]:
            told = f"{module.asked} of {module.usable} usable records gives {lines[module.name]}"
            yield f"{module.name}: {told} lines, stated are {module.examples}"
    if manifest.recipe.epoch_count is not None:
        yield from _epoch_faults(manifest, unique_lines(lines, manifest.recipe.epoch_count, usable))


def _epoch_faults(manifest: Manifest, unique: Mapping[str, int]) -> Iterator[str]:
    """Yield modules whose lines of the data are not the records that epochs use, each once."""
    for module in manifest.report.modules:
        expected = unique[module.name]
        if (module.lines, module.kept) != (expected, expected):
            told = f"its epochs use {expected} records, stated are {module.kept}"
            yield f"{module.name}: {told} on {module.lines} lines"


def _misstated_amounts(manifest: Manifest) -> Iterator[str]:
    """Yield amounts that are none, stated otherwise in the account, or of tokens not counted."""
    recipe, asked = manifest.recipe, manifest.recipe.asked()
    if len(manifest.orders) != (recipe.epoch_count or 0):
        told = f"it asks for orders of {recipe.epoch_count or 0} epochs"
        yield f"{told}, stated are {len(manifest.orders)}"
    for part in recipe.modules:
        if (part.weight is None) != (part.amount is not None) or len(part.amount or "1") != 1:
            yield f"{part.name}: has no amount, or several"
    members = {part.name: asked.modules[part.name].group for part in recipe.modules}
    grouped = [(name, group.name) for group in recipe.groups for name in group.modules]
    if sorted(grouped) != sorted((name, group) for name, group in members.items() if group):
        yield "its groups are not those of its modules"
    if len({group.name for group in recipe.groups}) != len(recipe.groups):
        yield "a group stands twice"
    for module in manifest.report.modules:
        if module.amount != asked.told(module.name):
            yield f"{module.name}: the account says {module.asked}, the recipe something else"
        if (module.epoch_lines is not None) != (recipe.epoch_count is not None):
            yield f"{module.name}: lines of epochs are stated where no orders are asked for, or not"
        if (module.usable_tokens is not None) != asked.needs_tokens:
            yield f"{module.name}: tokens of usable records are stated where none decide, or not"
        elif module.usable_tokens is not None:
            yield from _token_faults(module)
    tokenizer = manifest.tokenizer if asked.needs_tokens else None
    if (recipe.amounts or {}).get("tokenizer") != tokenizer:
        yield "its amounts of tokens were not counted by the tokenizer of the account"


def _token_faults(module: ModuleReport) -> Iterator[str]:
    """Yield tokens of lines that the usable records' tokens do not allow."""
    whole, drawn = divmod(module.lines, module.usable) if module.usable else (0, 0)
    least = whole * (module.usable_tokens or 0)
    most = least + (module.usable_tokens or 0) * bool(drawn)
    if not least <= (module.tokens or 0) <= most:
        yield f"{module.name}: {module.tokens} tokens, its usable records allow {least} to {most}"


def _profile_faults(recipe: Recipe) -> Iterator[str]:
    """Yield where the licences are not what their profile gives, by the data that we have too."""
    stated = recipe.license_profile
    if stated is None or stated.data != license_data().version:
        return
    unknown = [name for name in stated.profile if name not in PROFILES]
    if unknown:
        yield f"it names a licence profile that there is not: {unknown[0]}"
    elif recipe.licenses != allowed_by(License(allowed=stated.named, profile=stated.profile)):
        yield f"its licences are not those of the profile {', '.join(stated.profile)}"


def stated_recipe_sha256(data: bytes) -> str:
    """Return the recipe's digest as a manifest that `read_manifest` has accepted states it."""
    build = loads(data)["predicate"]["buildDefinition"]
    return str(build["externalParameters"]["recipe_sha256"])


def _name_faults(manifest: Manifest) -> Iterator[str]:
    for name in (manifest.data.name, manifest.ledger.name):
        fault = file_fault(name)
        if fault is not None:
            yield f"the file name {name!a} {fault}"
            return
    if not manifest.data.name.endswith(".jsonl"):
        yield f"the file name {manifest.data.name!r} does not end in .jsonl"
        return
    paths, shards = OutputPaths(Path(manifest.data.name)), manifest.data.shards
    if manifest.ledger.name != paths.ledger.name:
        yield f"the ledger is named {manifest.ledger.name!r}, expected {paths.ledger.name!r}"
    if manifest.attribution is not None and manifest.attribution.name != paths.attribution.name:
        named, expected = manifest.attribution.name, paths.attribution.name
        yield f"the attribution is named {named!r}, expected {expected!r}"
    if manifest.validation is not None and manifest.validation.name != paths.validation.name:
        named, expected = manifest.validation.name, paths.validation.name
        yield f"the validation file is named {named!r}, expected {expected!r}"
    yield from _order_name_faults(manifest, paths)
    for shard, path in zip(shards, paths.shards(len(shards)), strict=True):
        if shard.name != path.name:
            yield f"a shard is named {shard.name!r}, expected {path.name!r}"
            return


def _order_name_faults(manifest: Manifest, paths: OutputPaths) -> Iterator[str]:
    for order, path in zip(manifest.orders, paths.orders(len(manifest.orders)), strict=True):
        if order.name != path.name:
            yield f"an order is named {order.name!r}, expected {path.name!r}"
            return


def _refuse_other_form(data: bytes, manifest: Manifest, where: str) -> None:
    """Refuse bytes that say the same in another way, or that contradict themselves."""
    stated = stated_recipe_sha256(data).encode("ascii")
    written = manifest.to_bytes().replace(manifest.recipe.sha256().encode("ascii"), stated)
    told = "is not written as Teapot writes a manifest, or says one thing in two ways"
    refuse_other_form(data, written, where, told)
