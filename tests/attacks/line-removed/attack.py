"""A line in the middle of the data file is removed."""

from tests.support.attacks import edit_lines

edit_lines(lambda lines: [*lines[:6], *lines[7:]])
