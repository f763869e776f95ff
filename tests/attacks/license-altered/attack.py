"""The trusted key signs a manifest that puts the lines under another licence than the ledger."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"MIT": {', b'"CC0-1.0": {')
sign()
