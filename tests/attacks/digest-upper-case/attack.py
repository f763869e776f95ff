"""The trusted key signs a manifest with the data's digest in upper case."""

from tests.support.attacks import MANIFEST, sign, swap

digest = b"7508101b998f273107b159b9979560133d5e5cafec21011b3ce71de2d8098c6b"
swap(MANIFEST, digest, digest.upper())
sign()
