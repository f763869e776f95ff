"""The trusted key signs a ledger whose content digests are not those of the lines."""

from hashlib import sha256

from teapot.contents import hash_contents
from tests.support.attacks import MANIFEST, edit_ledger, read_rows, sign_ledger, state


def lie(row: dict[str, object]) -> None:
    row["content_digest"] = sha256(str(row["id"]).encode()).hexdigest()


edit_ledger(lambda rows: [lie(row) for row in rows if row["lines"]])
contents = sorted({bytes.fromhex(row["content_digest"]) for row in read_rows() if row["lines"]})
state(MANIFEST, "contents_root", hash_contents(contents).merkle_root)
sign_ledger()
