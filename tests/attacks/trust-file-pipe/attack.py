"""The trust file in the folder is a named pipe, at which a reader would wait for ever."""

import os

from tests.support.attacks import TRUST

TRUST.unlink()
os.mkfifo(TRUST)
