"""The data file ends in the middle of a line."""

from tests.support.attacks import DATA

DATA.write_bytes(DATA.read_bytes()[:-40])
