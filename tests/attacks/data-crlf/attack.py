"""The data file's lines end in CRLF."""

from tests.support.attacks import DATA, swap

swap(DATA, b"\n", b"\r\n")
