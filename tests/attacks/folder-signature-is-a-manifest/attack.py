"""The bundle of a manifest is put in the place of the folder's signature."""

from pathlib import Path

from tests.support.attacks import BUNDLE

Path("model.sig").write_bytes(BUNDLE.read_bytes())
