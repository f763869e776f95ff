"""The data file was edited before its owner signs the manifest."""

from tests.support.attacks import DATA, swap

swap(DATA, b"Question 2 of black", b"Question 9 of black")
