"""The bundle is that of another composition by the same signer."""

from pathlib import Path

from tests.support.attacks import BUNDLE, compose
from tests.support.project import chat_rows

compose(Path("other"), chat_rows("black", 3))
Path("other", BUNDLE).replace(BUNDLE)
