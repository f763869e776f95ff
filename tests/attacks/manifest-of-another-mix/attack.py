"""Manifest and bundle are those of another composition by the same signer."""

from pathlib import Path

from tests.support.attacks import BUNDLE, MANIFEST, compose
from tests.support.project import chat_rows

compose(Path("other"), chat_rows("black", 3))
Path("other", MANIFEST).replace(MANIFEST)
Path("other", BUNDLE).replace(BUNDLE)
