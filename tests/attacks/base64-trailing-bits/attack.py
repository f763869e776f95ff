"""The signature's base64 is spelt with other bits in its last digit."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b'V9Q=="', b'V9R=="')
