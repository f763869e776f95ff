"""The ledger is not even Parquet."""

from tests.support.attacks import LEDGER

LEDGER.write_bytes(bytes(range(256)))
