"""The use case of verifying a proof, which needs neither data file nor ledger."""

from __future__ import annotations

from pathlib import Path

from teapot.authenticity import BundleFile, Signatures, judge_bundles
from teapot.bundle import Bundle
from teapot.digest import sha256_hex
from teapot.errors import DataError, Problem, UsageError
from teapot.files import open_regular
from teapot.manifestchecks import allowed_unsigned, check_schema, check_sums, not_looked_at
from teapot.manifestfile import read_manifest
from teapot.model.verification import CheckResult, Status, Verification
from teapot.proof import MAX_BYTES, Proof
from teapot.usecases.onerecord import content_digest_of, digest_of_record
from teapot.usecases.verify import VerifyOptions


def verify_proof(
    path: Path, record: Path | None = None, options: VerifyOptions | None = None
) -> Verification:
    """Return whether a proof holds, and is about the record in a file, where one is given.

    Raises:
        UsageError: there is no such file.
        TrustError: a trust file is missing or cannot be read.
    """
    options = options or VerifyOptions()
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    try:
        proof = Proof.parse(data, path.name)
    except DataError as error:
        problems = [str(problem) for problem in error.problems]
        result = CheckResult.compare(
            "proof", "the form of the proof", expected="a proof", found="none", details=problems
        )
        return Verification(target=str(path), manifest_sha256=None, results=(result,))
    return _Checker(path, proof, options).run(record)


class _Checker:
    def __init__(self, path: Path, proof: Proof, options: VerifyOptions) -> None:
        self._path = path
        self._proof = proof
        self._options = options

    def run(self, record: Path | None) -> Verification:
        """Return the results of all checks."""
        signatures = self._signatures()
        results = list(signatures.results)
        believed, pin = self._believed(signatures)
        if pin is not None:
            results.append(pin)
        if believed is None:
            results.append(not_looked_at())
        else:
            results.extend(self._contents(believed))
            results.append(self._record(record))
        digest = sha256_hex(believed) if believed is not None else None
        return Verification(target=str(self._path), manifest_sha256=digest, results=tuple(results))

    def _signatures(self) -> Signatures:
        files = [
            BundleFile(name=f"bundle {number} of the proof", data=data)
            for number, data in enumerate(self._proof.bundles, start=1)
        ]
        if files:
            found = judge_bundles(
                files, self._options.believed(), at=self._options.at,
                threshold=self._options.threshold, keyless_config=self._options.keyless_config,
            )  # fmt: skip
            return allowed_unsigned(found) if self._options.allow_unsigned else found
        allowed = self._options.allow_unsigned
        result = CheckResult(
            name="signature", status=Status.NOTE if allowed else Status.UNSIGNED,
            compared="the signature in the proof", expected="a bundle", found="none",
        )  # fmt: skip
        return Signatures(results=(result,))

    def _believed(self, signatures: Signatures) -> tuple[bytes | None, CheckResult | None]:
        """Return the manifest if something vouches for it, and what became of the pin."""
        manifest = signatures.payload
        bare = self._unvouched(signatures)
        pin = None
        if self._options.expect is not None:
            candidate = manifest or bare
            pin = CheckResult.compare(
                "expect", "SHA-256 of the manifest against the one given",
                expected=self._options.expect,
                found=sha256_hex(candidate) if candidate else "no manifest",
            )  # fmt: skip
            if pin.status != Status.OK:
                return None, pin
        if manifest is None and (self._options.allow_unsigned or pin is not None):
            manifest = bare
        return manifest, pin

    def _unvouched(self, signatures: Signatures) -> bytes | None:
        """Return the manifest for which nobody trusted vouches; None where a bundle is at fault."""
        if any(result.status == Status.FAULT for result in signatures.results):
            return None
        if self._proof.bundles:
            return Bundle.parse(self._proof.bundles[0]).payload
        return self._proof.manifest

    def _contents(self, believed: bytes) -> list[CheckResult]:
        try:
            manifest = read_manifest(believed, "the manifest")
        except DataError as error:
            return [check_schema("the manifest", error.problems)]
        faults = list(self._proof.faults(manifest))
        is_inclusion = self._proof.kind == "inclusion"
        told = "the record" if is_inclusion else "the pages around the absent content"
        name = manifest.data.name
        said = (
            f"line {self._proof.leaves[0].index + 1} of {name} is the record "
            f"{self._proof.digest.hex()}"
            if is_inclusion and self._proof.leaves
            else f"no record of {name} has the content {self._proof.digest.hex()}"
        )
        path = CheckResult.compare(
            "path", f"the RFC 9162 path from {told} to the root that the manifest states",
            expected=said, found="no proof of it" if faults else said, details=faults,
        )  # fmt: skip
        return [check_schema("the manifest", ()), check_sums(manifest), path]

    def _record(self, record: Path | None) -> CheckResult:
        is_inclusion = self._proof.kind == "inclusion"
        if record is None:
            told = "the record itself (--record FILE compares one with the proof)"
            return CheckResult(name="record", status=Status.SKIPPED, compared=told)
        digest = digest_of_record(record) if is_inclusion else content_digest_of(record)
        kind = "record" if is_inclusion else "content"
        return CheckResult.compare(
            "record", f"the {kind} digest of {record.name} with the proof's",
            expected=self._proof.digest.hex(), found=digest.hex(),
        )  # fmt: skip
