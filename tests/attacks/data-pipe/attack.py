"""The data file is a named pipe, at which a reader would wait for ever."""

import os

from tests.support.attacks import DATA

DATA.unlink()
os.mkfifo(DATA)
