"""A proof of absence leaves out the very content: its leaves are no neighbours."""

from pathlib import Path

from teapot.ledger import read_ledger
from teapot.merkle import PathBuilder
from teapot.proof import Leaf, Proof
from tests.support.attacks import BUNDLE, LEDGER

rows = [row for batch in read_ledger(LEDGER) for row in batch if row["lines"]]
contents = sorted({bytes.fromhex(row["content_digest"]) for row in rows})


def leaf(index: int) -> Leaf:
    builder = PathBuilder(index, len(contents))
    builder.extend(contents)
    return Leaf(index=index, digest=contents[index], path=builder.path())


proof = Proof(
    kind="absence", digest=contents[5], leaves=(leaf(4), leaf(6)), bundles=(BUNDLE.read_bytes(),)
)
Path("tea.proof.json").write_bytes(proof.to_bytes())
