"""A line longer than any that is read is appended to the data file."""

from tests.support.attacks import DATA

with DATA.open("ab") as file:
    file.write(b"x" * (65 << 20) + b"\n")
