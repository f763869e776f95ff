"""Two lines of the data file change places."""

from tests.support.attacks import edit_lines

edit_lines(lambda lines: [lines[1], lines[0], *lines[2:]])
