"""The use case `prove`: a file that proves one record is in a composition, or a content is not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from teapot.auditing import account_of, auditing
from teapot.contents import page_count, page_of, pages
from teapot.datafiles import DataFiles
from teapot.digest import split_digests
from teapot.errors import DataError, Problem, UsageError
from teapot.files import OutputPaths
from teapot.index import DIGEST_BYTES
from teapot.ledgerqueries import NAMES, find_rows, is_text, kept_contents
from teapot.merkle import BLOCK_LEAVES, PathBuilder
from teapot.model.ledgeraccount import LedgerSizes
from teapot.model.manifest import Manifest
from teapot.proof import Leaf, Proof
from teapot.sorted_digests import DigestSorter
from teapot.usecases.onerecord import content_digest_of, digest_of_record
from teapot.usecases.targets import names_order, refuse_held_out
from teapot.usecases.verify import VerifyOptions, believed_manifest

_MAX_LINES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Proven:
    """A proof, and what it says in words; `name` is fit for a file."""

    proof: Proof
    name: str
    sentence: str


def prove(
    target: str | Path, query: str, options: VerifyOptions | None = None, *, absent: bool = False
) -> Proven:
    """Return the proof that a record is in a composition, or with `absent` that a content is not.

    `query` is a line number, an id, a digest, or the path of a file that holds the record. The
    manifest must be signed by somebody trusted; data file and ledger must be what it states.

    Raises:
        UsageError: the query names nothing, or several records, or the target has what is not
            in the data.
        DataError: the files are not those of the manifest; or the content is there, or the record
            is not.
        UnsignedError, UntrustedError: nobody believed has signed the manifest.
    """
    composition = _Composition(*believed_manifest(target, options))
    if absent:
        return _absence(composition, query)
    refuse_held_out(Path(target), composition.paths)
    if names_order(Path(target)):
        told = "is the order of an epoch, and a proof is of a line of the data"
        raise UsageError(Problem(str(target), f"{told}; name {composition.paths.data.name}"))
    return _inclusion(composition, query)


@dataclass(frozen=True, slots=True)
class _Composition:
    """A manifest that is believed, and where its files should lie."""

    paths: OutputPaths
    manifest: Manifest


def _inclusion(composition: _Composition, query: str) -> Proven:
    stated = composition.manifest.data
    data = DataFiles(composition.paths, stated)
    with tempfile.TemporaryDirectory(prefix="teapot-prove-") as folder:
        digests = Path(folder, "digests")
        with digests.open("wb") as file:
            measured = data.measure(file)
        found = (measured.sha256, measured.merkle_root)
        if found != (stated.sha256, stated.merkle_root) or data.faults(measured):
            told = "is not what its manifest states; run `teapot verify` to see where it differs"
            raise DataError(Problem(str(composition.paths.data), told))
        line = _line_of(composition, query, digests)
        builder = PathBuilder(line - 1, stated.records)
        digest = b""
        for start, block in _blocks(digests):
            builder.extend(block)
            if start < line <= start + len(block):
                digest = block[line - 1 - start]
    leaf = Leaf(index=line - 1, digests=(digest,), path=builder.path())
    return Proven(
        proof=_proof(composition, "inclusion", digest, [leaf]),
        name=f"{composition.paths.stem}.line-{line}",
        sentence=f"line {line} of {stated.name} is the record with sha256 {digest.hex()}",
    )


def _absence(composition: _Composition, query: str) -> Proven:
    content = _content_of(query)
    stated = composition.manifest.data
    with (
        tempfile.TemporaryDirectory(prefix="teapot-prove-") as folder,
        DigestSorter(stated.records) as contents,
    ):
        _check_ledger(composition, Path(folder))
        for kept in kept_contents(composition.paths.ledger):
            contents.add(kept)
        leaves = _surrounding(contents, content, stated.contents)
    return Proven(
        proof=_proof(composition, "absence", content, leaves),
        name=f"{composition.paths.stem}.absent-{content.hex()[:16]}",
        sentence=f"no record of {stated.name} has the content with sha256 {content.hex()}",
    )


def _check_ledger(composition: _Composition, scratch: Path) -> None:
    """Refuse a ledger that is not the one stated, using a folder for what is left over."""
    data, ledger = composition.manifest.data, composition.manifest.ledger
    path = composition.paths.ledger
    claimed = scratch / "claimed"
    sizes = LedgerSizes(rows=ledger.rows, lines=data.records)
    with auditing(path, claimed, sizes) as future:
        account = account_of(future, path)
    found = account.rows_sha256, account.contents_root
    if found != (ledger.rows_sha256, data.contents_root):
        told = "is not what its manifest states; run `teapot verify`"
        raise DataError(Problem(str(path), told))


def _surrounding(contents: DigestSorter, content: bytes, size: int) -> list[Leaf]:
    """Return the pages in which a content would stand: one, or two where it is between them.

    Raises:
        DataError: it is there.
    """
    before = 0
    for block in map(split_digests, contents.blocks()):
        if content in block:
            told = f"the content with sha256 {content.hex()} is in the data file"
            raise DataError(f"{told}; leave out --absent to prove it")
        before += sum(digest < content for digest in block)
    neighbours = [place for place in (before - 1, before) if 0 <= place < size]
    indexes = sorted({page_of(place) for place in neighbours})
    builders = [PathBuilder(index, page_count(size)) for index in indexes]
    found: dict[int, bytes] = {}
    for number, page in enumerate(pages(contents.blocks())):
        for builder in builders:
            builder.extend([page])
        if number in indexes:
            found[number] = page
    return [
        Leaf(index=index, digests=tuple(split_digests(found[index])), path=builder.path())
        for index, builder in zip(indexes, builders, strict=True)
    ]


def _proof(composition: _Composition, kind: str, digest: bytes, leaves: Iterable[Leaf]) -> Proof:
    bundles = tuple(path.read_bytes() for path in composition.paths.all_bundles())
    return Proof(
        kind="inclusion" if kind == "inclusion" else "absence",
        digest=digest,
        leaves=tuple(leaves),
        bundles=bundles,
        manifest=None if bundles else composition.manifest.to_bytes(),
    )


def _line_of(composition: _Composition, query: str, digests: Path) -> int:
    """Return the line that a query names: a number, a file, a record digest or an id."""
    records = composition.manifest.data.records
    if query.isdecimal() and len(query) < 20 and 1 <= int(query) <= records:
        return int(query)
    if _is_file(query):
        wanted = digest_of_record(Path(query))
        lines = list(_lines_with(digests, wanted))
        if not lines:
            told = (
                "is on no line of the data file, byte for byte; a record is its canonical line, "
                "with id, licence and module"
            )
            raise DataError(Problem(query, told))
        return lines[0]
    _check_ledger(composition, digests.parent)
    rows = find_rows(composition.paths.ledger, NAMES, is_text(query))
    lines = [line for row in rows for line in row["lines"]]
    if not lines:
        told = f"is no line (1 to {records:,}), no id or digest in the data file, and no file"
        raise UsageError(Problem(query, told))
    if len(lines) > 1:
        shown = ", ".join(map(str, lines[:_MAX_LINES])) + (" …" if len(lines) > _MAX_LINES else "")
        raise UsageError(Problem(query, f"is on several lines ({shown}); name one of them"))
    return lines[0]


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except OSError:  # an id may be longer than any file name
        return False


def _content_of(query: str) -> bytes:
    if _is_file(query):
        return content_digest_of(Path(query))
    try:
        digest = bytes.fromhex(query)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        told = "is no file that holds a chat record, and no content digest of 64 hex digits"
        raise UsageError(Problem(query, told))
    return digest


def _lines_with(digests: Path, wanted: bytes) -> Iterator[int]:
    for start, block in _blocks(digests):
        yield from (start + at + 1 for at, digest in enumerate(block) if digest == wanted)


def _blocks(digests: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a file of digests in blocks, each with the number of digests before it."""
    start = 0
    with digests.open("rb") as file:
        while data := file.read(BLOCK_LEAVES * DIGEST_BYTES):
            block = split_digests(data)
            yield start, block
            start += len(block)
