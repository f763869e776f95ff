"""The trusted key signs a ledger and a manifest that give the lines another licence."""

from tests.support.attacks import MANIFEST, edit_ledger, sign_ledger, swap

edit_ledger(lambda rows: [row.update(license="CC0-1.0") for row in rows if row["lines"]])
swap(MANIFEST, b'"MIT": {', b'"CC0-1.0": {')
sign_ledger()
