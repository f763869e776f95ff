"""Proofs that a record is in a data file, or that a content is not, which need nothing but a file.

A proof holds the signed manifest (its bundles, or the bare manifest where nobody signed) and paths
of RFC 9162 §2.1.3 to a root that the manifest states: of the tree over the lines for a record that
is there, and of the tree over the sorted contents for one that is not. There, the two neighbours
between which it would lie prove that it does not. `schemas/proof.schema.json` describes the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from teapot.canonical import CanonicalError, dumps, dumps_readable, loads
from teapot.errors import DataError, Problem
from teapot.merkle import root_of_path
from teapot.model.manifest import Manifest
from teapot.schemas import schema_faults
from teapot.strictyaml import YamlDocument

FORMAT = "teapot/proof/v1"
MAX_BYTES = 256 << 20
SUFFIX = ".proof.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A leaf of a tree with its path: 32-byte hashes from the leaf's sibling up; index from 0."""

    index: int
    digest: bytes
    path: tuple[bytes, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Leaf:
        """Return the leaf in JSON values that fit the schema."""
        path = tuple(bytes.fromhex(part) for part in value["path"])
        return cls(index=value["index"], digest=bytes.fromhex(value["digest"]), path=path)

    def to_dict(self) -> dict[str, Any]:
        """Return the leaf as JSON values."""
        path = [part.hex() for part in self.path]
        return {"index": self.index, "digest": self.digest.hex(), "path": path}

    def root(self, size: int) -> str:
        """Return the root that the path leads to in a tree of `size` leaves, as 64 hex digits.

        Raises:
            ValueError: there is no such leaf, or the path is not of its length.
        """
        return root_of_path(self.digest, self.index, size, self.path).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One proof. `digest` is what it is about: a record digest, or the absent content's.

    `leaves` is the record's own leaf, or the neighbours of what is absent: two, or one where it
    would stand at an end, or none where the tree is empty. `bundles` are the bytes of bundle files.
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
        faults = list(schema_faults("proof", document))
        if faults or not isinstance(value, dict):
            raise DataError(*document.problems(faults[:5]))
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
        if len(self.leaves) != 1 or self.leaves[0].digest != self.digest:
            yield "a proof of inclusion has one leaf, which is the record's"
            return
        data = manifest.data
        yield from _path_faults(self.leaves[0], data.records, data.merkle_root)

    def _absence_faults(self, manifest: Manifest) -> Iterator[str]:
        size = manifest.data.contents
        for leaf in self.leaves:
            yield from _path_faults(leaf, size, manifest.data.contents_root)
        match self.leaves:
            case () if size == 0:
                return
            case (only,) if only.index == 0 and self.digest < only.digest:
                return
            case (only,) if only.index == size - 1 and only.digest < self.digest:
                return
            case (left, right) if right.index == left.index + 1:
                if left.digest < self.digest < right.digest:
                    return
        yield "the leaves are not the two neighbours between which the content would lie"


def _path_faults(leaf: Leaf, size: int, root: str) -> Iterator[str]:
    try:
        found = leaf.root(size)
    except ValueError as error:
        yield str(error)
        return
    if found != root:
        yield f"the path of leaf {leaf.index} leads to the root {found}, the manifest states {root}"
