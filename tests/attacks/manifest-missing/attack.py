"""The manifest file is taken away; its bundle stays."""

from tests.support.attacks import MANIFEST

MANIFEST.unlink()
