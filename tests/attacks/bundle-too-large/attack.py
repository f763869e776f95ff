"""The bundle is larger than any that is read."""

from tests.support.attacks import BUNDLE

with BUNDLE.open("ab") as file:
    file.truncate(1 << 30)
