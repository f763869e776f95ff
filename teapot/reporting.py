"""From what was read and planned to the numbers that people see: pure, and the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import numpy
from numpy.typing import NDArray

from teapot.errors import DataError, counted
from teapot.findings import PERSONAL, SECRET
from teapot.index import NO_RECORD, Entries
from teapot.leakscreen import CONTAMINATED
from teapot.ledgercolumns import DUPLICATE, NEAR_DUPLICATE
from teapot.licenseconflicts import license_conflicts, unknown_licenses
from teapot.licenseterms import license_data
from teapot.licensing import allowed_by
from teapot.mixing import NO_TWIN, Mix
from teapot.model.amount import AskedMix, share_text
from teapot.model.attribution import AttributedPart
from teapot.model.config import Config, License
from teapot.model.likeness import Likeness
from teapot.model.module import SourceSpec
from teapot.model.recipe import (
    FORMAT,
    LicenseProfile,
    Recipe,
    RecipeCuration,
    RecipeGroup,
    RecipeModule,
    RecipeSource,
)
from teapot.model.report import (
    HELD_OUT,
    Amount,
    MixReport,
    ModuleReport,
    SourceReport,
    decimal_text,
)
from teapot.resolve import ModuleInMix, ResolvedMix
from teapot.sketches import bands_of
from teapot.survey import Survey, Tally

Counts = NDArray[numpy.int64]


def report_mix(
    resolved: ResolvedMix,
    found: Survey,
    mix: Mix,
    *,
    tokens: bool,
    epoch_lines: Mapping[str, int] | None = None,
) -> MixReport:
    """Return the numbers of a mix; token counts are None unless a tokenizer counted.

    Where epochs have orders, the mix is of unique records, and `epoch_lines` are an epoch's.

    Raises:
        DataError: licences cannot be combined, and the config lets that fail the run.
    """
    amounts, asked = _Amounts(found, mix, tokens=tokens), resolved.asked
    likeness = resolved.config.duplicates.likeness
    modules = tuple(
        replace(
            _module(module, asked, found, mix, amounts),
            epoch_lines=None if epoch_lines is None else epoch_lines[module.name],
        )
        for module in resolved.modules
    )
    return MixReport(
        modules=modules,
        sources=tuple(found.sources),
        licenses=amounts.of_licenses(),
        total=amounts.total(),
        duplicate_groups=mix.duplicate_groups,
        duplicate_records=mix.duplicate_records,
        near_duplicates=None if likeness.is_exact else len(mix.near.rows),
        warnings=(
            *resolved.warnings,
            *_warnings(resolved, found, modules),
            *_license_warnings(resolved, amounts.modules_by_license()),
        ),
        split=(_recipe_split(resolved.config) or {}).get("validation"),
        epochs=resolved.config.epoch_count,
    )


def attributed_parts(found: Survey, mix: Mix) -> tuple[AttributedPart, ...]:
    """Return the lines of a mix by module, source and licence, in the order of their names."""
    return tuple(sorted(
        _Amounts(found, mix, tokens=False).parts(),
        key=lambda part: (part.license, part.module, part.source),
    ))  # fmt: skip


def make_recipe(resolved: ResolvedMix, found: Survey, *, tokenizer: str | None) -> Recipe:
    """Return the recipe of a mix whose sources have been read; `tokenizer` is its SHA-256."""
    return recipe_of(resolved, found.sources, tokenizer=tokenizer)


def recipe_of(
    resolved: ResolvedMix, sources: Iterable[SourceReport], *, tokenizer: str | None
) -> Recipe:
    """Return the recipe of a mix over sources that were read, or that stand for them."""
    config, asked = resolved.config, resolved.asked
    allowed = allowed_by(config.license)
    read = {(source.module, source.id): source for source in sources}
    return Recipe(
        format=FORMAT,
        seed=config.training.seed,
        licenses="all" if allowed is None else allowed,
        license_profile=_license_profile(config.license),
        duplicates=config.duplicates.policy,
        likeness=_likeness(config.duplicates.likeness),
        prefer=config.duplicates.prefer,
        strip_think=config.training.strip_think,
        include_reasoning=config.training.include_reasoning,
        max_bad_rows=config.max_bad_rows,
        decontaminate=resolved.decontamination,
        modules=tuple(_recipe_module(resolved, module, read) for module in resolved.modules),
        amounts=_recipe_amounts(asked, tokenizer),
        epochs={"count": str(config.epoch_count)} if config.epoch_count else None,
        groups=tuple(
            RecipeGroup(
                name=name, modules=group.modules, temperature=decimal_text(group.temperature),
                rows=None if group.rows is None else str(group.rows),
            )
            for name, group in sorted(asked.groups.items())
        ),
        split=_recipe_split(config),
    )  # fmt: skip


def _likeness(likeness: Likeness) -> dict[str, str] | None:
    bands = bands_of(likeness.near) if likeness.match == "near" else None
    return likeness.written(bands)


def _recipe_split(config: Config) -> dict[str, str] | None:
    if config.split is None:
        return None
    share = {"validation": share_text(config.split.validation)}
    return share | (_likeness(config.relatives) or {})


def _license_profile(license_: License) -> LicenseProfile | None:
    if not license_.profile:
        return None
    return LicenseProfile(
        profile=license_.profile, named=license_.allowed or (), data=license_data().version
    )


def _recipe_amounts(asked: AskedMix, tokenizer: str | None) -> dict[str, str] | None:
    """Return what shares are of and what counted tokens, where that decides a line."""
    whole = asked.whole
    found = {
        "share_of": whole.share_of if asked.has_shares else None,
        "rows": whole.rows, "tokens": whole.tokens,
        "tokenizer": tokenizer if asked.needs_tokens else None,
    }  # fmt: skip
    return {key: str(value) for key, value in found.items() if value is not None} or None


def _module(
    module: ModuleInMix, asked: AskedMix, found: Survey, mix: Mix, amounts: _Amounts
) -> ModuleReport:
    tally, share = found.tallies[module.name], mix.shares[module.name]
    span = found.index.spans[module.name]
    part = slice(span.start, span.stop)
    amount = amounts.of_module(module.name)
    twins = int((mix.twins[part] != NO_TWIN).sum())
    kept = int((amounts.copies[part] > 0).sum())
    dropped = dict(tally.dropped)
    near = _near_of(mix, span) if twins else 0
    if twins > near:
        dropped[DUPLICATE] = twins - near
    if near:
        dropped[NEAR_DUPLICATE] = near
    held = int(mix.held[part].sum())
    if held:
        dropped[HELD_OUT] = held
    return ModuleReport(
        name=module.name, version=module.module.version,
        weight=asked.modules[module.name].weight, read=tally.read,
        dropped=dict(sorted(dropped.items())), repaired=dict(sorted(tally.repaired.items())),
        usable=share.usable, kept=kept, unused=share.usable - kept, lines=amount.lines,
        characters=amount.characters, tokens=amount.tokens,
        cutoff=share.cutoff.hex() if share.cutoff else None, amount=asked.told(module.name),
        usable_tokens=share.tokens if asked.needs_tokens else None,
        curation=tally.curator.report() if tally.curator is not None else None,
    )  # fmt: skip


def _near_of(mix: Mix, span: range) -> int:
    low, high = numpy.searchsorted(mix.near.rows, [span.start, span.stop]).tolist()
    return int(high - low)


class _Amounts:
    """The lines, characters and tokens of a mix by module and licence, counted in passing."""

    def __init__(self, found: Survey, mix: Mix, *, tokens: bool) -> None:
        index = found.index
        self.copies = mix.copies
        shape = (len(index.source_names), len(index.license_names), 3)
        self._sums = numpy.zeros(shape, dtype=numpy.int64)
        self._sources = index.source_names
        self._modules = [name.partition(" ")[0] for name in index.source_names]
        self._licenses, self._tokens = index.license_names, tokens
        for start, entries in index.chunks():
            is_usable = entries["state"] != NO_RECORD
            copies = mix.copies[start : start + len(entries)].astype(numpy.int64)
            self._add(entries[is_usable], copies[is_usable])

    def of_module(self, name: str) -> Amount:
        """Return what the lines of one module amount to."""
        return self._amount(self._sums[[module == name for module in self._modules]])

    def of_licenses(self) -> dict[str, Amount]:
        """Return what the lines of each licence amount to, where it has any."""
        amounts = {
            name: self._amount(self._sums[:, [code]]) for code, name in enumerate(self._licenses)
        }
        return {name: amount for name, amount in sorted(amounts.items()) if amount.lines}

    def modules_by_license(self) -> dict[str, tuple[str, ...]]:
        """Return the modules that have lines under each licence, where it has any."""
        has_lines = self._sums[:, :, 0] > 0
        return {
            name: tuple(sorted({self._modules[place] for place in has_lines[:, code].nonzero()[0]}))
            for code, name in enumerate(self._licenses)
            if has_lines[:, code].any()
        }

    def parts(self) -> Iterator[AttributedPart]:
        """Yield how many lines each source has under each licence, where it has any."""
        for place, code in zip(*self._sums[:, :, 0].nonzero(), strict=True):
            module, _, source = self._sources[place].partition(" ")
            yield AttributedPart(
                module=module, source=source, license=self._licenses[code],
                lines=int(self._sums[place, code, 0]),
            )  # fmt: skip

    def total(self) -> Amount:
        """Return what all lines amount to."""
        return self._amount(self._sums)

    def _add(self, entries: Entries, copies: Counts) -> None:
        rows = numpy.stack((copies, copies * entries["characters"], copies * entries["tokens"]), 1)
        numpy.add.at(self._sums, (entries["source"], entries["license"]), rows)

    def _amount(self, sums: Counts) -> Amount:
        lines, characters, tokens = sums.reshape(-1, 3).sum(axis=0).tolist()
        return Amount(lines=lines, characters=characters, tokens=tokens if self._tokens else None)


def _license_warnings(
    resolved: ResolvedMix, modules_by_license: dict[str, tuple[str, ...]]
) -> list[str]:
    """Return what is told of licences that cannot be combined.

    Raises:
        DataError: the config lets conflicts fail the run, and there are some.
    """
    found = license_conflicts(modules_by_license)
    if resolved.config.license.conflicts == "fail":
        found = found + unknown_licenses(modules_by_license)
        if found:
            place = "license", "conflicts"
            raise DataError(*(resolved.file.problem(place, str(one)) for one in found))
    return [str(one) for one in found]


def _warnings(resolved: ResolvedMix, found: Survey, modules: tuple[ModuleReport, ...]) -> list[str]:
    warnings = [
        f"{source.module}: source {source.id} holds {source.rows} rows, its module declares "
        f"{source.expected}"
        for source in found.sources
        if source.expected is not None and source.expected != source.rows
    ]
    for use, report in zip(resolved.modules, modules, strict=True):
        warnings.extend(_curation_warnings(use, report, found.tallies[use.name]))
        warnings.extend(_leak_warnings(use, found.tallies[use.name]))
        warnings.extend(_scan_warnings(use, found.tallies[use.name]))
        warnings.extend(_module_warnings(use, report, found.tallies[use.name].repeated_ids))
    return warnings


def _module_warnings(use: ModuleInMix, report: ModuleReport, repeated_ids: int) -> list[str]:
    warnings = []
    weight, minimum = report.weight, use.module.min_examples
    if report.examples == 0:
        warnings.append(f"{use.name}: {_asked_of(report)} usable records gives no line")
    elif weight is not None and weight % 1 and report.examples == int(weight) * report.usable:
        warnings.append(
            f"{use.name}: the fraction of {report.asked} has no effect on {report.usable} records"
        )
    if minimum is not None and report.examples < minimum:
        warnings.append(
            f"{use.name}: {report.examples} lines, its module asks for {minimum} at least"
        )
    if repeated_ids:
        warnings.append(
            f"{use.name}: {counted(repeated_ids, 'row')} of other content repeat an id; records "
            "are told apart by content, but explain ID will show several"
        )
    return warnings


def _curation_warnings(use: ModuleInMix, report: ModuleReport, tally: Tally) -> list[str]:
    curation, counts, curator = use.curation, report.curation, tally.curator
    if curation is None or counts is None or curator is None:
        return []
    warnings = []
    if counts.orphans:
        told = counted(counts.orphans, "record")
        warnings.append(
            f"{use.name}: {curation.use} decides of {told} that no source holds: they were altered "
            "or removed since, and these verdicts did nothing"
        )
    if curation.by_id:
        matched = f"{len(curator.tally.matched_ids)} of {counted(len(curation.by_id), 'id')}"
        warnings.append(
            f"{use.name}: {curation.use} goes by ids, which may come to stand on other rows; "
            f"{matched} matched. `teapot curate import` binds them to contents"
        )
    return warnings


def _leak_warnings(use: ModuleInMix, tally: Tally) -> list[str]:
    """Return how many records leak an evaluation set and stay in the mix."""
    rows = tally.noted[CONTAMINATED]
    told = "with words of evaluation sets not dropped, as overlap: report or rows: keep says"
    return [f"{use.name}: {counted(rows, 'row')} {told}; the ledger names them"] if rows else []


def _scan_warnings(use: ModuleInMix, tally: Tally) -> list[str]:
    """Return what a scan found that stays in the mix."""
    return [
        f"{use.name}: {counted(tally.noted[reason], 'row')} with {words} in the mix, as scan "
        f"reports them only; the ledger says where, redact or drop takes them out"
        for reason, words in ((SECRET, "secrets"), (PERSONAL, "personal data"))
        if tally.noted[reason]
    ]


def _asked_of(report: ModuleReport) -> str:
    """Return what was asked of how many: `weight 0.1 of 3`, `10% of rows, with 3`."""
    between = " of" if report.amount is None else ", with"
    return f"{report.asked}{between} {report.usable}"


def _recipe_module(
    resolved: ResolvedMix, use: ModuleInMix, read: Mapping[tuple[str, str], SourceReport]
) -> RecipeModule:
    module = use.module
    fields = {
        name: getattr(module.fields, name)
        for name in type(module.fields).__dataclass_fields__
        if getattr(module.fields, name) is not None
    }
    prompt, asked = module.system_prompt, resolved.asked.modules[use.name]
    return RecipeModule(
        name=module.name, version=module.version,
        weight=None if asked.weight is None else decimal_text(asked.weight),
        amount=asked.written(),
        max_repeat=None if asked.max_repeat is None else decimal_text(asked.max_repeat),
        license=module.license, fields=fields, ignore_message_keys=module.ignore_message_keys,
        system_prompt={"text": prompt.text, "mode": prompt.mode} if prompt else None,
        reasoning=module.reasoning, repair=module.repair,
        checks=tuple(sorted({*module.checks, *resolved.config.checks})),
        max_length=module.max_length, on_bad_row=use.on_bad_row, max_bad_rows=use.max_bad_rows,
        sources=tuple(
            _recipe_source(spec, read[module.name, spec.id]) for spec in use.sources
        ),
        languages=module.languages, curation=_recipe_curation(use), scan=use.scan,
    )  # fmt: skip


def _recipe_curation(use: ModuleInMix) -> RecipeCuration | None:
    curation = use.curation
    if curation is None:
        return None
    return RecipeCuration(use=curation.use, sha256=curation.sha256, unreviewed=curation.unreviewed)


def _recipe_source(spec: SourceSpec, read: SourceReport) -> RecipeSource:
    return RecipeSource(
        id=spec.id, kind=spec.kind, uri=read.uri, revision=read.revision, sha256=read.sha256,
        rows=read.rows, license=spec.license, query=spec.query, format=spec.format,
    )  # fmt: skip


def share_of(part: int, whole: int) -> Decimal:
    """Return a percentage with one place, for tables."""
    return (Decimal(100) * part / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")
