"""A folder that looks like an interrupted run tells Teapot to remove data, ledger and manifest."""

import json
from pathlib import Path

run = Path(".tea.teapot-run")
run.mkdir()
names = ["tea.jsonl", "tea.ledger.parquet", "tea.manifest.json"]
(run / "commit.json").write_text(json.dumps({"rename": [], "remove": names}))
