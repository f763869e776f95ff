"""The signer's key is trusted for something else only."""

from tests.support.attacks import TRUST, swap

swap(TRUST, b'namespaces="teapot"', b'namespaces="git,file"')
