"""The bundle says that its payload is of another type."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b"application/vnd.in-toto+json", b"application/json")
