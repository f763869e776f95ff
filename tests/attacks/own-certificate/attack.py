"""A stranger signs, and the bundle brings a certificate that the stranger has made."""

import base64

from teapot.bundle import Bundle
from teapot.canonical import dumps_readable, loads
from tests.support.attacks import BUNDLE, MANIFEST, self_signed, stranger

certificate = self_signed("alice@example.com")
bundle = loads(Bundle.sign(MANIFEST.read_bytes(), stranger()).to_bytes())
encoded = base64.b64encode(certificate).decode()
bundle["verificationMaterial"] = {"certificate": {"rawBytes": encoded}, "tlogEntries": []}
BUNDLE.write_bytes(dumps_readable(bundle))
