"""The signature's base64 is spelt with other bits in its last digit."""

from string import ascii_lowercase, ascii_uppercase, digits

from tests.support.attacks import respell_signature

DIGITS = ascii_uppercase + ascii_lowercase + digits + "+/"


def with_other_bits(text: str) -> str:
    bare = text.rstrip("=")
    assert bare != text, "without padding there are no bits to spare"
    return bare[:-1] + DIGITS[DIGITS.index(bare[-1]) + 1] + text[len(bare) :]


respell_signature(with_other_bits)
