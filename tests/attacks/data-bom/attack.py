"""A byte order mark stands before the data."""

from tests.support.attacks import DATA

DATA.write_bytes(b"\xef\xbb\xbf" + DATA.read_bytes())
