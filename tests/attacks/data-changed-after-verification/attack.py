"""The data file is verified, then edited, then used."""

from teapot.usecases.verify import verified
from tests.support.attacks import DATA, swap

verified(DATA)
swap(DATA, b"Question 2 of black", b"Question 9 of black")
