"""U+2028, at which some readers split lines, is put into a line."""

from tests.support.attacks import DATA, swap

swap(DATA, b"Question 2 of black", "Question 2\u2028of black".encode())
