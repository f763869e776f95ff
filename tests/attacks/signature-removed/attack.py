"""The bundle is taken away."""

from tests.support.attacks import BUNDLE

BUNDLE.unlink()
