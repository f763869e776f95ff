"""A folder that looks like an interrupted run tells Teapot to replace the trust file."""

import json
from pathlib import Path

from tests.support.attacks import TRUST, sign, stranger

run = Path(".tea.teapot-run")
run.mkdir()
line = TRUST.read_text().split("ecdsa")[0] + stranger().public.ssh + "\n"
(run / TRUST.name).write_text(line)
(run / "commit.json").write_text(json.dumps({"rename": [TRUST.name], "remove": []}))
sign(stranger())
