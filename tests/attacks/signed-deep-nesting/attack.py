"""The trusted key signs a manifest nested 100,000 levels deep."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"records": 15', b'"records": ' + b"[" * 100_000 + b"]" * 100_000)
sign()
