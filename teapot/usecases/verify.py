"""The use case `verify`: proves or disproves every claim of a composition, and says which.

Only verified bytes are parsed: until a signature is believed (or the caller has pinned the
manifest's SHA-256, or asked to go on without), nothing of a manifest is read but its bytes. Only
this module makes a `Verified`, and what trains takes nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from teapot.auditing import reader_of
from teapot.authenticity import BundleFile, Signatures, Signer, judge_bundles
from teapot.bundle import MAX_BYTES as MAX_BUNDLE_BYTES
from teapot.contentchecks import ContentChecks, check_attribution
from teapot.datafile import open_beside
from teapot.datafiles import DataFiles
from teapot.digest import sha256_hex
from teapot.errors import (
    DataError,
    DigestError,
    Problem,
    SourceError,
    UnsignedError,
    UntrustedError,
    UsageError,
)
from teapot.files import OutputPaths, recover
from teapot.manifestchecks import (
    ALLOWED,
    allowed_unsigned,
    check_recipe,
    check_schema,
    check_sums,
    not_looked_at,
)
from teapot.manifestfile import (
    MAX_BYTES,
    read_manifest,
    stated_recipe_sha256,
)
from teapot.model.manifest import DataFile, Manifest
from teapot.model.verification import CheckResult, Status, Verification
from teapot.processes import OwnProcesses
from teapot.resolve import MixOptions
from teapot.trust import Trust
from teapot.trustfile import load_trust
from teapot.usecases.evalsetchecks import check_eval_sets
from teapot.usecases.remaking import (
    PUBLISHED_FOLDER,
    check_curations,
    check_published,
    check_rebuild,
    check_sources,
    find_config,
)
from teapot.usecases.targets import compositions_of, refuse_held_out
from teapot.validationchecks import validation_files

if TYPE_CHECKING:
    from teapot.index import Numbers

MAX_BUNDLES = 100
_SEAL = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What a verification leans on and goes into.

    `at` is the time at which keys must be valid. `expect` pins the manifest's SHA-256, `signer` the
    principal who alone may have signed. With `allow_unsigned`, files that nobody trusted has signed
    are checked against each other all the same. `records` has every line parsed and compared with
    its ledger row. `mix` says where modules and sources lie, and whether the network may be used.
    """

    trust: Path | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    expect: str | None = None
    threshold: int = 1
    signer: str | None = None
    allow_unsigned: bool = False
    manifest_only: bool = False
    records: bool = False
    keyless_config: Path | None = None
    rebuild: bool = False
    config: Path | None = None
    mix: MixOptions = field(default_factory=MixOptions)

    def __post_init__(self) -> None:
        """Refuse what would let everything pass."""
        if self.threshold < 1:
            raise UsageError("the threshold of signers is 1 at least")

    def believed(self) -> Trust:
        """Return whom to believe.

        Raises:
            TrustError: a trust file is missing or cannot be read.
        """
        return replace(load_trust(self.trust), principal=self.signer)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A composition whose every claim was checked, in this process.

    `signers` may be empty only where the caller allowed unsigned data.

    Raises:
        TypeError: made by anything but `verify`.
    """

    paths: OutputPaths
    manifest: Manifest
    manifest_sha256: str
    signers: tuple[Signer, ...]
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only teapot.verify makes a Verified")

    def part(self, *, held_out: bool) -> DataFile:
        """Return what is stated of the data, or of the validation file, which must be there."""
        if not held_out:
            return self.manifest.data
        assert self.manifest.validation is not None  # noqa: S101 - the caller has looked
        return self.manifest.validation

    def lines(self, *, held_out: bool = False) -> Iterator[bytes]:
        """Yield the data's lines without their LF, hashed once more while they are read.

        With `held_out` they are those of the validation file.

        What was taken from the lines counts only when the iterator ends without an error.

        Raises:
            DigestError: the file is no longer what was verified.
        """
        stated = self.part(held_out=held_out)
        data = (validation_files if held_out else DataFiles)(self.paths, stated)
        for path, verified_sha256 in zip(data.files, data.digests, strict=True):
            digest = sha256()
            with open_beside(path) as file:
                for line in file:
                    digest.update(line)
                    yield line.removesuffix(b"\n")
            if digest.hexdigest() != verified_sha256:
                raise _changed(path, digest.hexdigest(), verified_sha256)

    def epoch(self, number: int) -> Iterator[Numbers]:
        """Yield the order of an epoch, from 0, as lines of the data, hashed as `lines` are.

        Raises:
            DigestError: the file is no longer what was verified.
        """
        from teapot.orderfile import OrderReader  # which few compositions need

        stated = self.manifest.orders[number]
        path = self.paths.orders(len(self.manifest.orders))[number]
        reader = OrderReader(path, stated.bytes)
        yield from reader.blocks()
        if reader.sha256 != stated.sha256:
            raise _changed(path, reader.sha256, stated.sha256)


def verify(*targets: str | Path, options: VerifyOptions | None = None) -> list[Verification]:
    """Return what can be said of each composition that the targets name; none means the project.

    Raises:
        UsageError: a target is no part of a composition.
        TrustError: a trust file is missing or cannot be read.
    """
    options = options or VerifyOptions()
    trust = options.believed()
    found = compositions_of([Path(target) for target in targets])
    if options.expect is not None and len(found) > 1:
        raise UsageError(f"--expect pins one manifest, and the targets name {len(found)}")
    return [_Verifier(paths, trust, options).run() for paths in found]


def verified(target: str | Path, options: VerifyOptions | None = None) -> Verified:
    """Return one composition as proven, data and ledger included, which is what training takes.

    Raises:
        DataError: a check has found a fault; all faults are named.
        UnsignedError, UntrustedError: nobody believed has signed it.
        UsageError: the target names none, or several, or what was held out of one.
    """
    options = replace(options or VerifyOptions(), manifest_only=False)
    verifier, verification = _proven(target, options)
    refuse_held_out(Path(target), verifier.paths)
    held = {result.name for result in verification.results if result.status == Status.OK}
    if not {"data", "merkle", "ledger", "lines"} <= held:
        told = f"{verifier.paths.data.name} and its ledger are not here, so nothing was proven"
        raise DataError(Problem(str(verifier.paths.manifest), told))
    assert verifier.manifest is not None  # noqa: S101 - its data could not have been checked
    return Verified(
        paths=verifier.paths, manifest=verifier.manifest,
        manifest_sha256=str(verification.manifest_sha256), signers=verifier.signers, seal=_SEAL,
    )  # fmt: skip


def believed_manifest(
    target: str | Path, options: VerifyOptions | None = None
) -> tuple[OutputPaths, Manifest]:
    """Return one manifest that somebody trusted has signed; nothing else was looked at.

    Raises:
        DataError, UnsignedError, UntrustedError, UsageError: as `verified` does.
    """
    verifier, _ = _proven(target, options or VerifyOptions(), form_only=True)
    assert verifier.manifest is not None  # noqa: S101 - _proven lets no other through
    return verifier.paths, verifier.manifest


def verify_form(paths: OutputPaths, options: VerifyOptions) -> tuple[Verification, Manifest | None]:
    """Return the checks of a manifest alone; and the manifest, if it is believed and sound."""
    verifier = _Verifier(paths, options.believed(), options, form_only=True)
    verification = verifier.run()
    return verification, verifier.manifest


def _proven(
    target: str | Path, options: VerifyOptions, *, form_only: bool = False
) -> tuple[_Verifier, Verification]:
    """Return what has walked through one composition without finding anything wrong."""
    found = compositions_of([Path(target)])
    if len(found) != 1:
        raise UsageError(Problem(str(target), f"names {len(found)} compositions, expected one"))
    verifier = _Verifier(found[0], options.believed(), options, form_only=form_only)
    verification = verifier.run()
    refuse_unless_ok(verification)
    if verifier.manifest is None:
        raise DataError(Problem(verification.target, "is not believed, and was not looked into"))
    return verifier, verification


def refuse_unless_ok(verification: Verification) -> None:
    """Refuse what a verification has found anything wrong with.

    Raises:
        DataError, UnsignedError, UntrustedError, SourceError: by what weighs most; names all.
    """
    if verification.is_ok:
        return
    kinds = {4: UnsignedError, 5: UntrustedError, 3: SourceError}
    raise kinds.get(verification.exit_code, DataError)(
        *(
            Problem(verification.target, f"{r.name}: expected {r.expected}, found {r.found}")
            for r in verification.results
            if r.status not in (Status.OK, Status.NOTE, Status.SKIPPED)
        )
    )


class _Verifier:
    """One walk through the checks of one composition."""

    def __init__(
        self, paths: OutputPaths, trust: Trust, options: VerifyOptions, *, form_only: bool = False
    ) -> None:
        self.paths = paths
        self._form_only = form_only
        self._trust = trust
        self._options = options
        self.manifest: Manifest | None = None
        self.signers: tuple[Signer, ...] = ()
        self._sha256: str | None = None
        self._reader: OwnProcesses | None = None

    def run(self) -> Verification:
        """Return the results of all checks."""
        recover(self.paths)
        if self._form_only or self._options.manifest_only:
            results = tuple(self._checks())
        else:
            with reader_of(self.paths.ledger) as self._reader:
                results = tuple(self._checks())
        return Verification(
            target=str(self.paths.manifest), manifest_sha256=self._sha256, results=results
        )

    def _checks(self) -> Iterator[CheckResult]:
        """Yield the checks in their order; each needs what those before have proven."""
        found = _read(self.paths.manifest, MAX_BYTES)
        if isinstance(found, bytes):
            self._sha256 = sha256_hex(found)
        signatures = self._signatures()
        yield from signatures.results
        self.signers = signatures.signers
        payload = signatures.payload
        if payload is not None:
            yield self._payload(payload, found)
        elif not isinstance(found, bytes):
            yield found
        elif self._options.allow_unsigned:
            yield from self._unproven(signatures, found)
        pin = self._pin(payload, found)
        if pin is not None:
            yield pin
        believed = self._believed(signatures, payload, found, pin)
        if believed is None:
            yield not_looked_at()
            return
        self._sha256 = sha256_hex(believed)
        yield from self._contents(believed)

    def _signatures(self) -> Signatures:
        files: list[BundleFile] = []
        for path in self.paths.all_bundles():
            if (
                len(files) >= MAX_BUNDLES
                or sum(len(file.data) for file in files) > MAX_BUNDLE_BYTES
            ):
                return Signatures(results=(self._too_many_bundles(),))
            data = _read(path, MAX_BUNDLE_BYTES)
            if not isinstance(data, bytes):
                return Signatures(results=(data,))
            files.append(BundleFile(name=path.name, data=data))
        if not files:
            return Signatures(results=(self._unsigned(),))
        found = judge_bundles(
            files, self._trust, at=self._options.at, threshold=self._options.threshold,
            keyless_config=self._options.keyless_config,
        )  # fmt: skip
        return allowed_unsigned(found) if self._options.allow_unsigned else found

    def _too_many_bundles(self) -> CheckResult:
        return CheckResult(
            name="signature", status=Status.FAULT, compared="the bundles beside the manifest",
            expected=f"{MAX_BUNDLES} at most, and {MAX_BUNDLE_BYTES:,} bytes in all", found="more",
        )  # fmt: skip

    def _unsigned(self) -> CheckResult:
        allowed = self._options.allow_unsigned
        return CheckResult(
            name="signature",
            status=Status.NOTE if allowed else Status.UNSIGNED,
            compared="the signature beside the manifest",
            expected=self.paths.bundle.name,
            found="no such file: nobody vouches for this manifest" + (ALLOWED if allowed else ""),
        )

    def _payload(self, payload: bytes, found: bytes | CheckResult) -> CheckResult:
        """Compare what was signed with the manifest file, byte for byte."""
        name = self.paths.manifest.name
        is_same = found == payload
        return CheckResult(
            name="payload",
            status=Status.OK if is_same else Status.FAULT,
            compared=f"the bytes of {name} with the payload that was signed",
            expected=f"sha256 {sha256_hex(payload)}",
            found=f"sha256 {sha256_hex(found)}" if isinstance(found, bytes) else found.found,
            details=()
            if is_same
            else ("the signed manifest is the one inside the bundle; it is what follows",),
        )

    def _unproven(self, signatures: Signatures, found: bytes) -> Iterator[CheckResult]:
        """Yield a fault for each payload, signed by nobody trusted, that the manifest is not."""
        for payload in dict.fromkeys(signatures.unproven):
            if payload != found:
                yield replace(self._payload(payload, found), details=())

    def _pin(self, payload: bytes | None, found: bytes | CheckResult) -> CheckResult | None:
        """Compare the manifest with the one that the caller has pinned."""
        expect = self._options.expect
        if expect is None:
            return None
        data = payload if payload is not None else found
        digest = sha256_hex(data) if isinstance(data, bytes) else "no manifest"
        return CheckResult(
            name="expect",
            status=Status.OK if digest == expect else Status.FAULT,
            compared="SHA-256 of the manifest against the one given",
            expected=expect,
            found=digest,
        )

    def _believed(
        self, signatures: Signatures, payload: bytes | None, found: bytes | CheckResult,
        pin: CheckResult | None,
    ) -> bytes | None:  # fmt: skip
        """Return the manifest's bytes where something vouches for them, or nothing must."""
        if pin is not None and pin.status != Status.OK:
            return None
        if payload is not None:
            return payload
        is_fault = any(result.status == Status.FAULT for result in signatures.results)
        may_go_on = self._options.allow_unsigned or pin is not None
        return found if may_go_on and not is_fault and isinstance(found, bytes) else None

    def _contents(self, believed: bytes) -> Iterator[CheckResult]:
        """Yield the checks of what a believed manifest states."""
        where = self.paths.manifest.name
        try:
            manifest = read_manifest(believed, where)
        except DataError as error:
            yield check_schema(where, error.problems)
            return
        yield check_schema(where, [])
        if manifest.data.name != self.paths.data.name:
            yield self._renamed(manifest)
            return
        self.manifest = manifest
        yield check_sums(manifest)
        if self._form_only:
            return
        yield from self._files(manifest)
        yield check_recipe(manifest, stated_recipe_sha256(believed))
        yield from check_sources(manifest, self._options.mix, self._options.config)
        yield from check_curations(manifest, self._options.mix, self._options.config)
        config = self._options.config or find_config(manifest)
        yield from check_eval_sets(manifest, self._options.mix, config)
        yield from check_published(self.paths, believed)
        if self._options.rebuild:
            yield from check_rebuild(
                self.paths, believed, manifest, self._options.mix, self._options.config
            )

    def _files(self, manifest: Manifest) -> Iterator[CheckResult]:
        if self._options.manifest_only or self._is_published_alone():
            why = "asked for" if self._options.manifest_only else "published without its data"
            told = f"data file and ledger ({why}; --rebuild makes them again)"
            yield CheckResult(name="data", status=Status.SKIPPED, compared=told)
            return
        checks = ContentChecks(self.paths, manifest, self._options.mix.progress, self._reader)
        found = list(checks.run())
        yield from found
        yield from check_attribution(self.paths.attribution, manifest)
        if manifest.orders:
            yield from self._orders(manifest, found)
        if not self._options.records:
            return
        from teapot.recordchecks import (  # parsers and arrays
            COMPARED,
            NAME,
            check_held_records,
            check_records,
        )

        if all(result.status == Status.OK for result in found):
            yield check_records(self.paths, manifest)
            yield from check_held_records(self.paths, manifest)
        else:
            told = f"{COMPARED}; the files are not those composed"
            yield CheckResult(name=NAME, status=Status.SKIPPED, compared=told)

    def _orders(self, manifest: Manifest, found: Sequence[CheckResult]) -> Iterator[CheckResult]:
        """Yield the checks of epochs' orders; of their ranks, where all else is as stated."""
        from teapot import orderchecks  # arrays, which few compositions need

        held = {result.name for result in found if result.status == Status.OK}
        files = orderchecks.check_orders(self.paths, manifest, is_data="data" in held)
        yield files
        is_sound = {"ledger", "conservation"} <= held and files.status == Status.OK
        if is_sound and orderchecks.examples_are_those_of_modules(manifest):
            yield orderchecks.check_ranks(self.paths, manifest)
        else:
            yield orderchecks.ranks_not_looked_at()

    def _is_published_alone(self) -> bool:
        """Tell whether the manifest lies in this project's `manifests/`, without its data."""
        paths = self.paths
        others = [paths.data, *paths.all_shards(), paths.ledger, paths.run_folder]
        others += [paths.validation, *paths.all_orders()]
        folder = self.paths.manifest.absolute().parent
        return folder == PUBLISHED_FOLDER.absolute() and not any(map(os.path.lexists, others))

    def _renamed(self, manifest: Manifest) -> CheckResult:
        return CheckResult(
            name="data", status=Status.FAULT, compared="the name that the manifest gives its data",
            expected=self.paths.data.name, found=manifest.data.name,
            details=("a manifest counts only under the name it was composed with",),
        )  # fmt: skip


def _changed(path: Path, found: str, verified_sha256: str) -> DigestError:
    told = (
        f"has changed since it was verified: found sha256 {found}, "
        f"verified was {verified_sha256}; discard what was read, and verify again"
    )
    return DigestError(Problem(str(path), told))


def _read(path: Path, max_bytes: int) -> bytes | CheckResult:
    """Return a small file's bytes, or the fault that kept them from being read."""
    try:
        with open_beside(path) as file:
            data = file.read(max_bytes + 1)
    except DataError as error:
        found = "; ".join(problem.message for problem in error.problems)
    else:
        if len(data) <= max_bytes:
            return data
        found = f"over {max_bytes:,} bytes"
    return CheckResult(
        name="signature" if "sigstore" in path.name else "payload", status=Status.FAULT,
        compared=f"the file {path.name}", expected="a file that can be read", found=found,
    )  # fmt: skip
