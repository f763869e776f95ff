"""The data file is a symbolic link to itself."""

from tests.support.attacks import DATA

DATA.unlink()
DATA.symlink_to(DATA)
