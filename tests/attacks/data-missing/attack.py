"""The data file is taken away."""

from tests.support.attacks import DATA

DATA.unlink()
