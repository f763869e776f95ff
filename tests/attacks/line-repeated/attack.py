"""A line of the data file is there once more, so that it weighs more."""

from tests.support.attacks import edit_lines

edit_lines(lambda lines: [*lines[:4], lines[3], *lines[4:]])
