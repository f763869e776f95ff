"""A line is appended to the data file."""

from tests.support.attacks import edit_lines

edit_lines(lambda lines: [*lines, lines[0].replace(b"black-3", b"black-9")])
