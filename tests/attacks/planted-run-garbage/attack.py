"""A folder that looks like an interrupted run holds a journal that is none."""

from pathlib import Path

run = Path(".tea.teapot-run")
run.mkdir()
(run / "commit.json").write_text("[1]")
