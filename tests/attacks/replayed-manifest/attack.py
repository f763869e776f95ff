"""Yesterday's composition, genuine in every byte, is handed over as today's."""

import hashlib

from tests.support.attacks import MANIFEST, swap

genuine = MANIFEST.read_bytes()
swap(MANIFEST, b'"teapot": "0.1.0"', b'"teapot": "0.2.0"')
newest = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()
assert newest.startswith("9bf1663d74ea")  # what the reader was told to expect
MANIFEST.write_bytes(genuine)
