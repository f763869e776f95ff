"""Proofs that a record is in a data file, or that a content is not, which need nothing but a file.

A proof holds the signed manifest (its bundles, or the bare manifest where nobody signed) and paths
of RFC 9162 §2.1.3 to a root that the manifest states: of the tree over the lines for a record that
is there, and of the tree over the sorted contents for one that is not. There, the two neighbours
between which it would lie prove that it does not. `schemas/proof.schema.json` describes the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from teapot.canonical import CanonicalError, dumps, dumps_readable, loads
from teapot.contents import page_count, page_size
from teapot.errors import DataError, Problem
from teapot.merkle import root_of_path
from teapot.model.manifest import Manifest
from teapot.schemas import schema_faults
from teapot.strictyaml import YamlDocument

FORMAT = "teapot/proof/v1"
MAX_BYTES = 96 << 20
_MAX_ITEMS = 256
SUFFIX = ".proof.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A leaf of a tree with its path: 32-byte hashes from the leaf's sibling up; index from 0.

    `digests` are what the leaf is made of, end to end: one record digest, or a page of contents.
    """

    index: int
    digests: tuple[bytes, ...]
    path: tuple[bytes, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Leaf:
        """Return the leaf in JSON values that fit the schema."""
        digests, path = (tuple(map(bytes.fromhex, value[key])) for key in ("digests", "path"))
        return cls(index=value["index"], digests=digests, path=path)

    def to_dict(self) -> dict[str, Any]:
        """Return the leaf as JSON values."""
        digests, path = ([part.hex() for part in parts] for parts in (self.digests, self.path))
        return {"index": self.index, "digests": digests, "path": path}

    def root(self, size: int) -> str:
        """Return the root that the path leads to in a tree of `size` leaves, as 64 hex digits.

        Raises:
            ValueError: there is no such leaf, or the path is not of its length.
        """
        return root_of_path(b"".join(self.digests), self.index, size, self.path).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One proof. `digest` is what it is about: a record digest, or the absent content's.

    `leaves` is the record's own leaf, or the page of contents in which the absent one would stand;
    two pages where it would stand between them, none where there is no content at all. `bundles`
    are the bytes of bundle files.
    """

    kind: Literal["inclusion", "absence"]
    digest: bytes
    leaves: tuple[Leaf, ...]
    bundles: tuple[bytes, ...]
    manifest: bytes | None = None

    @classmethod
    def parse(cls, data: bytes, where: str) -> Proof:
        """Return the proof in a file's bytes.

        Raises:
            DataError: it is no proof; names what is wrong.
        """
        if len(data) > MAX_BYTES:
            told = f"has over {MAX_BYTES:,} bytes, which no proof has"
            raise DataError(Problem(where, told))
        try:
            value = loads(data)
        except CanonicalError as error:
            raise DataError(Problem(where, f"is not strict JSON: {error}")) from error
        document = YamlDocument(where, value, {})
        if _is_longer_than_any(value):
            raise DataError(Problem(where, "has longer lists than any proof"))
        faults = list(islice(schema_faults("proof", document), 5))
        if faults or not isinstance(value, dict):
            raise DataError(*document.problems(faults))
        if value["bundles"] and value["manifest"] is not None:
            raise DataError(Problem(where, "holds a manifest beside the signed one"))
        manifest = value["manifest"]
        try:
            bundles = tuple(dumps(bundle) for bundle in value["bundles"])
        except CanonicalError as error:
            raise DataError(Problem(where, f"has a bundle that is none: {error}")) from error
        return cls(
            kind=value["kind"],
            digest=bytes.fromhex(value["digest"]),
            leaves=tuple(map(Leaf.from_dict, value["leaves"])),
            bundles=bundles,
            manifest=manifest.encode("utf-8") if manifest is not None else None,
        )

    def to_bytes(self) -> bytes:
        """Return the bytes of a proof file."""
        return dumps_readable(
            {
                "format": FORMAT,
                "kind": self.kind,
                "digest": self.digest.hex(),
                "leaves": [leaf.to_dict() for leaf in self.leaves],
                "bundles": [loads(bundle) for bundle in self.bundles],
                "manifest": self.manifest.decode("utf-8") if self.manifest is not None else None,
            }
        )

    def faults(self, manifest: Manifest) -> Iterator[str]:
        """Yield why the proof does not prove, given a manifest that is believed."""
        if self.kind == "inclusion":
            yield from self._inclusion_faults(manifest)
        else:
            yield from self._absence_faults(manifest)

    def _inclusion_faults(self, manifest: Manifest) -> Iterator[str]:
        if len(self.leaves) != 1 or self.leaves[0].digests != (self.digest,):
            yield "a proof of inclusion has one leaf, which is the record's"
            return
        data = manifest.data
        yield from _path_faults(self.leaves[0], data.records, data.merkle_root)

    def _absence_faults(self, manifest: Manifest) -> Iterator[str]:
        contents = manifest.data.contents
        count = page_count(contents)
        for leaf in self.leaves:
            yield from _path_faults(leaf, count, manifest.data.contents_root)
            if len(leaf.digests) != page_size(leaf.index, contents):
                yield f"page {leaf.index} has {len(leaf.digests)} digests, which no such page has"
        if any(list(leaf.digests) != sorted(set(leaf.digests)) for leaf in self.leaves):
            yield "the digests of a page are not in order, each once"
        elif self.digest in {digest for leaf in self.leaves for digest in leaf.digests}:
            yield "the content is there"
        elif not self._leaves_surround(count):
            yield "the pages are not those in which the content would stand"

    def _leaves_surround(self, count: int) -> bool:
        """Tell whether the content would stand within the pages given, of `count` in all."""
        if not self.leaves:
            return count == 0
        first, last = self.leaves[0], self.leaves[-1]
        if last.index - first.index != len(self.leaves) - 1:
            return False
        begins = first.index == 0 or first.digests[0] < self.digest
        ends = last.index == count - 1 or self.digest < last.digests[-1]
        return begins and ends


def _is_longer_than_any(value: Any) -> bool:
    """Tell at a glance that a list is too long, before a schema looks at each of its items."""
    leaves = value.get("leaves") if isinstance(value, dict) else None
    lists = [leaves, value.get("bundles")] if isinstance(value, dict) else [value]
    for leaf in leaves[:2] if isinstance(leaves, list) else ():
        lists += [leaf.get("digests"), leaf.get("path")] if isinstance(leaf, dict) else [leaf]
    return any(isinstance(part, list) and len(part) > _MAX_ITEMS for part in lists)


def _path_faults(leaf: Leaf, size: int, root: str) -> Iterator[str]:
    try:
        found = leaf.root(size)
    except ValueError as error:
        yield str(error)
        return
    if found != root:
        yield f"the path of leaf {leaf.index} leads to the root {found}, the manifest states {root}"
