"""The data file is emptied."""

from tests.support.attacks import DATA

DATA.write_bytes(b"")
