"""The signer's key becomes valid in the future."""

from tests.support.attacks import TRUST, swap

swap(TRUST, b'namespaces="teapot"', b'namespaces="teapot",valid-after="29990101Z"')
