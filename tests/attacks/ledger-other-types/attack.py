"""The ledger's columns hold other types than a ledger's."""

from pyarrow import parquet

from tests.support.attacks import LEDGER

table = parquet.read_table(LEDGER)
texts = table.column("row").cast("string")
parquet.write_table(table.set_column(2, "row", texts), LEDGER)
