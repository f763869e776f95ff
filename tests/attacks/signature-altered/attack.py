"""A bit of the signature is changed."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b"MEQCIAKZC2x9", b"MEQCIAKZC2x8")
