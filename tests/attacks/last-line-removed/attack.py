"""The last line of the data file is removed."""

from tests.support.attacks import edit_lines

edit_lines(lambda lines: lines[:-1])
