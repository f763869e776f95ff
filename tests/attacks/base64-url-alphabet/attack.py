"""The signature's base64 is spelt in the alphabet for URLs."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b"C+/vSU", b"C-_vSU")
