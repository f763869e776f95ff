"""A proof of absence names a content that stands in its genuine page."""

from pathlib import Path

from teapot.ledger import read_ledger
from teapot.proof import Leaf, Proof
from tests.support.attacks import BUNDLE, LEDGER

rows = [row for batch in read_ledger(LEDGER) for row in batch if row["lines"]]
contents = sorted({bytes.fromhex(row["content_digest"]) for row in rows})
page = Leaf(index=0, digests=tuple(contents), path=())
proof = Proof(kind="absence", digest=contents[5], leaves=(page,), bundles=(BUNDLE.read_bytes(),))
Path("tea.proof.json").write_bytes(proof.to_bytes())
