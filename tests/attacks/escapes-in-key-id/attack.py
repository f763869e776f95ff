"""A stranger's bundle calls its key by terminal escapes."""

from dataclasses import replace

from teapot.bundle import Bundle
from tests.support.attacks import BUNDLE, MANIFEST, stranger

BUNDLE.write_bytes(
    replace(Bundle.sign(MANIFEST.read_bytes(), stranger()), keyid="\x1b[2J\r  OK").to_bytes()
)
