"""The ledger is a Parquet file with other columns."""

import pyarrow as arrow
from pyarrow import parquet

from tests.support.attacks import LEDGER

parquet.write_table(arrow.table({"row": [1, 2, 3]}), LEDGER)
