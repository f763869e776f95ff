"""The manifest file says the same in another order of keys."""

import json

from tests.support.attacks import MANIFEST

value = json.loads(MANIFEST.read_text())
MANIFEST.write_text(json.dumps(dict(reversed(value.items())), indent=2) + "\n")
