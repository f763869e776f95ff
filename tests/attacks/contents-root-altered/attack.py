"""The trusted key signs a manifest whose tree of contents hides one."""

from tests.support.attacks import MANIFEST, sign, swap

swap(MANIFEST, b"e67e6a9d46560d29", b"e67e6a9d46560d20")
sign()
