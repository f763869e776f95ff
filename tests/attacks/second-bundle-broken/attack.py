"""Beside the genuine bundle lies one whose signature was altered."""

from tests.support.attacks import BUNDLE, SECOND_BUNDLE

SECOND_BUNDLE.write_bytes(BUNDLE.read_bytes().replace(b"MEQCIAKZC2x9", b"MEQCIAKZC2x8"))
