"""The trusted key signs a manifest whose ledger lies in the folder above."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b'"tea.ledger.parquet"', b'"../tea.ledger.parquet"')
sign()
