"""The trusted key signs a manifest whose keys stand in another order."""

import json

from tests.support.attacks import MANIFEST, sign

value = json.loads(MANIFEST.read_text())
MANIFEST.write_text(json.dumps(dict(reversed(value.items())), indent=2) + "\n")
sign()
