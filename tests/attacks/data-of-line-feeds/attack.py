"""The data file is replaced by a million empty lines, each of which costs more than its byte."""

from tests.support.attacks import DATA

DATA.write_bytes(b"\n" * 1_000_000)
