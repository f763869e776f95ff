"""The use cases of `curate`: bring verdicts in, publish them, merge them, and count them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from teapot.agreement import Agreement, agreement
from teapot.curationfile import (
    append_verdicts,
    lines_of,
    read_curation,
)
from teapot.curationplaces import local_path, published_path
from teapot.errors import DataError, OutputError, Problem, UsageError
from teapot.files import write_atomically
from teapot.model.record import Example
from teapot.model.verdict import IdVerdict, Verdict
from teapot.modulefile import shipped_configs
from teapot.usecases.modulerecords import ModuleRecords
from teapot.verdicts import Conflict, settle, standing

_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What was brought in; `unmatched` ids stand on no record, `ambiguous` ones on several.

    `known` verdicts were there already, and were left out.
    """

    path: Path
    verdicts: int
    by_id: int
    unmatched: tuple[str, ...]
    ambiguous: tuple[str, ...]
    known: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A file of verdicts that was written, and the records it decides of."""

    path: Path
    verdicts: int
    records: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What files of verdicts say: counts of verdicts that stand; coverage where it was asked for.

    `records` are the unlike contents of the module, `reviewed` those that have a verdict, `orphans`
    the contents with a verdict that no record has.
    """

    decided: int
    verdicts: dict[str, int]
    reviewers: dict[str, int]
    conflicts: tuple[str, ...]
    by_id: int
    agreements: tuple[Agreement, ...]
    records: int | None = None
    reviewed: int | None = None
    orphans: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return asdict(self)


def import_verdicts(
    file: Path, records: ModuleRecords, *, version: str, reviewer: str | None, time: str
) -> Imported:
    """Append the verdicts of a file to the module's local ones, each once; ids become contents.

    Bound ids are the same verdict whenever they are imported, because their time is only that.
    `reviewer` is who stands for verdicts by id that name nobody; `time` is what those get.

    Raises:
        ConfigError: a line is no verdict.
        UsageError: a verdict by id names no reviewer, and `reviewer` is None.
    """
    found = read_curation(file)
    if reviewer is None and any(one.reviewer == "unnamed" for one in found.by_id):
        raise UsageError(Problem(str(file), "verdicts without a reviewer; say --reviewer NAME"))
    contents = _contents_by_id(records, {one.id for one in found.by_id})
    bound = [
        _bound(one, *contents[one.id], reviewer=reviewer, time=time)
        for one in found.by_id
        if len(contents[one.id]) == 1
    ]
    path = local_path(records.module.module.name, version, _config_of(records))
    new = _unlike(held := _held(path), found.verdicts)
    new += _unlike([replace(one, time=time) for one in held], bound)
    append_verdicts(path, new)
    return Imported(
        path=path, verdicts=len(new), by_id=len(found.by_id),
        known=len(found.verdicts) + len(bound) - len(new),
        unmatched=tuple(sorted(name for name, digests in contents.items() if not digests)),
        ambiguous=tuple(sorted(name for name, digests in contents.items() if len(digests) > 1)),
    )  # fmt: skip


def export_verdicts(records: ModuleRecords, *, version: str, output: Path | None = None) -> Written:
    """Write the local verdicts that stand to `output`, or to where published ones lie.

    Raises:
        DataError: verdicts on one record differ.
    """
    local = local_path(records.module.module.name, version, _config_of(records))
    if not local.is_file():
        told = "no local verdicts to publish; `teapot curate review` or `curate import` makes some"
        raise UsageError(Problem(str(local), told))
    found = read_curation(local)
    if found.by_id:
        told = "has verdicts by id, which are not published; `teapot curate import` binds them"
        raise DataError(Problem(str(found.path), told))
    _refuse_conflicts(settle(found.verdicts).conflicts)
    path = output or _publishing_path(records, version)
    kept = standing(found.verdicts)
    ordered = [one for key in sorted(kept) for _, one in sorted(kept[key].items())]
    return _write(path, [replace(one, supersedes=()) for one in ordered])


def merge_verdicts(
    files: Sequence[Path], output: Path, *, prefer: str | None, reviewer: str | None, time: str
) -> Written:
    """Write the verdicts of several files as one, in the order of their times, each once.

    Where verdicts on one record differ, those of `prefer` are confirmed by `reviewer` in a line
    that supersedes them all.

    Raises:
        DataError: verdicts differ, and `prefer` does not settle it; names them.
        UsageError: `prefer` without a `reviewer`, or verdicts by id.
    """
    if prefer is not None and reviewer is None:
        raise UsageError(Problem("--prefer", "who settles this? say --reviewer NAME"))
    read = [read_curation(file) for file in files]
    for file in read:
        if file.by_id:
            told = "has verdicts by id; `teapot curate import` binds them to contents first"
            raise UsageError(Problem(str(file.path), told))
    lines = {lines_of([one]): one for file in read for one in file.verdicts}
    verdicts = sorted(lines.values(), key=lambda one: datetime.fromisoformat(one.time))
    settled = settle(verdicts)
    if prefer is not None and reviewer is not None:
        stand = standing(verdicts)
        verdicts += [
            replace(
                stand[one.key][prefer], reviewer=reviewer, time=time,
                supersedes=tuple(sorted(stand[one.key])),
            )
            for one in settled.conflicts
            if prefer in stand[one.key]
        ]  # fmt: skip
        settled = settle(verdicts)
    _refuse_conflicts(settled.conflicts)
    return _write(output, verdicts)


def stats_of(files: Sequence[Path], records: ModuleRecords | None = None) -> Stats:
    """Return what files of verdicts say together, and how much of a module they cover."""
    read = [read_curation(file) for file in files]
    verdicts = [one for file in read for one in file.verdicts]
    stand, settled = standing(verdicts), settle(verdicts)
    kinds = Counter(decision.verdict for decision in settled.decisions.values())
    reviewers = Counter(name for own in stand.values() for name in own)
    made = Stats(
        decided=len(stand), verdicts=dict(sorted(kinds.items())),
        reviewers=dict(sorted(reviewers.items())),
        conflicts=tuple(str(conflict) for conflict in settled.conflicts),
        by_id=sum(len(file.by_id) for file in read),
        agreements=tuple(_agreements(verdicts)),
    )  # fmt: skip
    if records is None:
        return made
    contents = {example.content_digest.hex() for example in records}
    reviewed = len(contents & stand.keys())
    return replace(made, records=len(contents), reviewed=reviewed, orphans=len(stand) - reviewed)


def _agreements(verdicts: Iterable[Verdict]) -> Iterable[Agreement]:
    """Yield for each two reviewers how far they agree, by the last word of each."""
    said: dict[str, dict[str, str]] = {}
    for one in verdicts:
        said.setdefault(one.reviewer, {})[one.content_digest] = one.verdict
    for first, second in combinations(sorted(said), 2):
        shared = sorted(said[first].keys() & said[second].keys())
        yield agreement((first, second), [(said[first][key], said[second][key]) for key in shared])


def _contents_by_id(records: Iterable[Example], ids: set[str]) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {name: set() for name in ids}
    for example in records if ids else ():
        if example.id in found:
            found[example.id].add(example.content_digest)
    return found


def _held(path: Path) -> Sequence[Verdict]:
    return read_curation(path).verdicts if os.path.lexists(path) else ()


def _unlike(held: Iterable[Verdict], given: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that are none of those held, each once."""
    lines = {lines_of([one]) for one in held}
    return list({line: one for one in given if (line := lines_of([one])) not in lines}.values())


def _bound(one: IdVerdict, content: bytes, *, reviewer: str | None, time: str) -> Verdict:
    name = reviewer if one.reviewer == "unnamed" and reviewer is not None else one.reviewer
    return Verdict(
        content_digest=content.hex(), verdict=one.verdict, reviewer=name, time=time,
        reason=one.reason,
    )  # fmt: skip


def _refuse_conflicts(conflicts: Sequence[Conflict]) -> None:
    if conflicts:
        raise DataError(*(Problem("", str(conflict)) for conflict in conflicts[:_SHOWN]))


def _write(path: Path, verdicts: Sequence[Verdict]) -> Written:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lines_of(verdicts))
    except OSError as error:
        raise OutputError(Problem(str(path), f"cannot be written: {error.strerror}")) from error
    return Written(path=path, verdicts=len(verdicts), records=len(standing(verdicts)))


def _publishing_path(records: ModuleRecords, version: str) -> Path:
    path = published_path(records.module, version)
    if path.is_relative_to(shipped_configs()):
        told = "the module came with Teapot, and verdicts do not go there; choose a place with -o"
        raise UsageError(Problem(records.module.module.name, told))
    return path


def _config_of(records: ModuleRecords) -> Path | None:
    return records.config.path if records.config is not None else None
