"""The trusted key signs a statement that is no manifest of Teapot's."""

from tests.support.attacks import MANIFEST, sign

MANIFEST.write_text('{"_type": "https://in-toto.io/Statement/v1"}\n')
sign()
