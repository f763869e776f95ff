"""The data file is a symbolic link to the genuine one in another folder."""

from pathlib import Path

from tests.support.attacks import DATA

Path("elsewhere").mkdir()
DATA.rename("elsewhere/tea.jsonl")
DATA.symlink_to("elsewhere/tea.jsonl")
