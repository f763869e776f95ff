"""The signature's base64 is spelt in the alphabet for URLs."""

from tests.support.attacks import respell_signature

respell_signature(lambda text: text.replace("+", "-").replace("/", "_"))
