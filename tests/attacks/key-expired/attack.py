"""The signer's key was valid in the past only."""

from tests.support.attacks import TRUST, swap

swap(TRUST, b'namespaces="teapot"', b'namespaces="teapot",valid-before="20200101Z"')
