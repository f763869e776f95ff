"""The checks that go back to where a composition came from: sources, published twin, rebuild."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, loads
from teapot.curationplaces import local_path, published_path
from teapot.digest import sha256_file, sha256_hex
from teapot.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    PluginError,
    Problem,
    SourceError,
    TeapotError,
    UsageError,
    counted,
)
from teapot.files import OutputPaths
from teapot.interfaces import SourceContext
from teapot.model.config import BadRowPolicy
from teapot.model.manifest import Manifest
from teapot.model.module import SourceSpec
from teapot.model.recipe import RecipeCuration
from teapot.model.report import SourceReport
from teapot.model.verification import CheckResult, Status
from teapot.modulefile import ModulePlaces, shipped_configs
from teapot.resolve import MixOptions
from teapot.sourcemap import SourceMap

PUBLISHED_FOLDER = Path("manifests")
_SUFFIX = ".config"
_SHOWN = 5


def check_sources(
    manifest: Manifest, mix: MixOptions, config: Path | None
) -> Iterator[CheckResult]:
    """Yield, for every source that can be reached, whether it still is what was read."""
    config = config or find_config(manifest)
    places = ModulePlaces.around(config, mix.modules)
    ids = [source.id for source in manifest.report.sources] + manifest.recipe.eval_source_ids()
    try:
        given = SourceMap.gather(config, mix.sources, ids)
    except (UsageError, ConfigError) as error:
        yield _source_result("sources", Status.FAULT, "where the sources lie", None, str(error))
        return
    skipped: dict[str, list[str]] = {}
    for source in manifest.report.sources:
        place = given.places.get(source.id)
        if place is not None and place.path is not None and source.digest_of == "file":
            yield _compared_file(source, place.path)
            continue
        result = _check_source(source, places, given, mix)
        if isinstance(result, _Skipped):
            skipped.setdefault(result.why, []).append(f"{source.module} {source.id}")
        else:
            yield result
    for why, names in skipped.items():
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        compared = f"SHA-256 and size of {counted(len(names), 'source')}; {why}: {shown}"
        yield CheckResult(name="sources", status=Status.SKIPPED, compared=compared)


def check_curations(
    manifest: Manifest, mix: MixOptions, config: Path | None
) -> Iterator[CheckResult]:
    """Yield, for every file of verdicts that lies here, whether it still is what was applied."""
    config = config or find_config(manifest)
    places = ModulePlaces.around(config, mix.modules)
    for module in manifest.recipe.modules:
        if module.curation is not None:
            yield _check_curation(module.name, module.curation, places, config)


def _check_curation(
    module: str, curation: RecipeCuration, places: ModulePlaces, config: Path | None
) -> CheckResult:
    name, compared = f"curation {module}", f"{curation.use} of {module}: SHA-256 of its file"
    kind, _, version = curation.use.partition(":")
    path = local_path(module, version, config)
    try:
        if kind == "published":
            path = published_path(places.find(module), version)
        found = sha256_file(path) if path.is_file() else None
    except (ConfigError, OSError):
        found = None
    if found is None:
        told = f"{compared}; it is not here"
        return CheckResult(name=name, status=Status.SKIPPED, compared=told)
    return CheckResult.compare(name, compared, expected=curation.sha256, found=found)


@dataclass(frozen=True, slots=True)
class _Skipped:
    """Why a source was not looked at."""

    why: str


def check_published(paths: OutputPaths, manifest: bytes) -> Iterator[CheckResult]:
    """Yield whether the manifest is the one published under its name in this project, if any."""
    published = PUBLISHED_FOLDER / paths.manifest.name
    if not published.is_file() or published.resolve() == paths.manifest.resolve():
        return
    told = f"the manifest with the one published as {published}"
    yield _compare_manifests(
        "published", told, published.read_bytes(), manifest, leave_out=_pop_extras
    )


def check_rebuild(
    paths: OutputPaths, believed: bytes, manifest: Manifest, mix: MixOptions, config: Path | None
) -> Iterator[CheckResult]:
    """Compose the mix again from its config and sources, and compare the bytes."""
    config = config or find_config(manifest)
    compared = "data file, ledger and manifest, composed again"
    if config is None:
        told = f"no {paths.stem}{_SUFFIX} here, in configs/ or shipped; use --config"
        yield CheckResult(
            name="rebuild", status=Status.UNREACHABLE, compared=compared,
            expected="the config of the mix", found=told,
        )  # fmt: skip
        return
    from teapot.usecases.compose import compose  # all of the composing, which few ask for

    with tempfile.TemporaryDirectory(prefix="teapot-rebuild-") as folder:
        try:
            options = replace(
                mix, seed=manifest.recipe.seed, on_bad_row=_policy(manifest, mix),
                shards=len(manifest.data.shards) or 1,
                attribution=manifest.attribution is not None,
                keep_parts=False,  # what an earlier run has judged is what is in question
            )  # fmt: skip
            made = compose(config, options, output=Path(folder, paths.data.name))
            again = made.paths.manifest.read_bytes()
        except TeapotError as error:
            is_out_of_reach = isinstance(error, SourceError | MissingExtraError)
            status = Status.UNREACHABLE if is_out_of_reach else Status.FAULT
            yield CheckResult(
                name="rebuild", status=status, compared=f"{compared} from {config}",
                expected="a mix", found=str(error).split("\n", maxsplit=1)[0],
            )  # fmt: skip
            return
    yield _compare_manifests("rebuild", f"{compared} from {config}", believed, again)


def _policy(manifest: Manifest, mix: MixOptions) -> BadRowPolicy | None:
    """Return the bad-row policy to compose again with: the recipe's, if all modules share it."""
    policies = {module.on_bad_row for module in manifest.recipe.modules}
    if mix.on_bad_row is not None or len(policies) != 1:
        return mix.on_bad_row
    return "drop" if policies == {"drop"} else "fail"


def find_config(manifest: Manifest) -> Path | None:
    """Return the config that bears the data file's name: here, in configs/, or shipped."""
    name = manifest.data.name.removesuffix(".jsonl") + _SUFFIX
    names = [name, name.removeprefix("train-")]
    folders = [Path(), Path("configs"), shipped_configs()]
    candidates = [folder / name for name in names for folder in folders]
    return next((path for path in candidates if path.is_file()), None)


def _check_source(
    source: SourceReport, places: ModulePlaces, given: SourceMap, mix: MixOptions
) -> CheckResult | _Skipped:
    name = f"source {source.id}"
    compared = f"{source.uri} of {source.module}: SHA-256 and size of its {source.digest_of}"
    try:
        module = places.find(source.module)
        spec = next((s for s in module.module.sources if s.id == source.id), None)
    except ConfigError:
        return _Skipped("no module file here says where they lie (--modules)")
    if spec is None or (spec.uri != source.uri and spec.id not in given.places):
        return _Skipped("the module files here declare others")
    context = SourceContext(
        folder=module.path.parent, offline=mix.offline, cache=mix.cache, progress=mix.progress
    )
    try:
        sha256, size = _digest(source, spec, given, context)
    except SourceError as error:
        return _Skipped(f"out of reach ({error.problems[0].message})")
    except MissingExtraError as error:
        return _Skipped(str(error))
    except (DataError, PluginError) as error:
        return _source_result(name, Status.FAULT, compared, source.sha256, str(error))
    is_ok = (sha256, size) == (source.sha256, source.bytes)
    return _source_result(
        name, Status.OK if is_ok else Status.FAULT, compared,
        f"{source.sha256}, {source.bytes:,} bytes", f"{sha256}, {size:,} bytes",
    )  # fmt: skip


def _compared_file(source: SourceReport, path: Path) -> CheckResult:
    """Compare a file that the caller says is the source; no module is needed for that."""
    compared = f"{source.uri} of {source.module}: SHA-256 and size of the file given for it"
    expected = f"{source.sha256}, {source.bytes:,} bytes"
    try:
        found = f"{sha256_file(path)}, {path.stat().st_size:,} bytes"
    except OSError as error:
        told = f"{path.name} cannot be read: {error.strerror}"
        return _source_result(f"source {source.id}", Status.UNREACHABLE, compared, expected, told)
    return CheckResult.compare(f"source {source.id}", compared, expected=expected, found=found)


def _digest(
    source: SourceReport, spec: SourceSpec, given: SourceMap, context: SourceContext
) -> tuple[str, int]:
    """Return a source's digest and size; a local file is hashed without being parsed."""
    path = given.local_path(spec, context.folder)
    if path is not None and source.digest_of == "file":
        try:
            return sha256_file(path), path.stat().st_size
        except OSError as error:
            raise SourceError(Problem("", error.strerror or "cannot be read")) from error
    reader, _ = given.open(spec, context, source.revision)
    for _ in reader:
        pass
    identity = reader.identity()
    return identity.sha256, identity.bytes


def _compare_manifests(
    name: str, compared: str, expected: bytes, found: bytes,
    *, leave_out: Callable[[Any], None] | None = None,
) -> CheckResult:  # fmt: skip
    """Compare two manifests but for the versions that made them: those need not be the same."""
    try:
        values = loads(expected), loads(found)
        if leave_out is not None:
            for value in values:
                leave_out(value)
        made, here = (_shown_versions(_pop_versions(value)) for value in values)
    except (CanonicalError, KeyError, TypeError, AttributeError) as error:
        told = f"one of the two is no manifest ({error})"
        return CheckResult(name=name, status=Status.FAULT, compared=compared, found=told)
    details = list(_unlike(*values))[:_SHOWN]
    status = Status.OK if values[0] == values[1] else Status.FAULT
    if made != here:
        details.append(f"made by {made}; the other by {here}")
    return CheckResult(
        name=name, status=status, compared=compared, expected=f"sha256 {sha256_hex(expected)}",
        found=f"sha256 {sha256_hex(found)}", details=tuple(details),
    )  # fmt: skip


def _pop_versions(statement: Any) -> dict[str, str]:
    """Take the versions out, which need not be the same for the bytes of the data to be."""
    versions: dict[str, str] = statement["predicate"]["runDetails"]["builder"].pop("version")
    return versions


def _pop_extras(statement: Any) -> None:
    """Take out how the data was cut, and what was written beside: whoever composes it chooses."""
    del statement["subject"][1:]
    statement["predicate"]["teapot_composition"]["data"].pop("shards", None)
    statement["predicate"]["teapot_composition"].pop("attribution", None)
    statement["predicate"]["runDetails"].pop("byproducts", None)


def _shown_versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _unlike(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield where two JSON values differ, by path."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            yield from _unlike(expected.get(key), found.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, pair in enumerate(zip(expected, found, strict=True)):
            yield from _unlike(*pair, f"{path}[{number}]")
    elif expected != found:
        yield f"{path}: expected {_short(expected)}, found {_short(found)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _source_result(
    name: str, status: Status, compared: str, expected: str | None, found: str
) -> CheckResult:
    return CheckResult(name=name, status=status, compared=compared, expected=expected, found=found)
