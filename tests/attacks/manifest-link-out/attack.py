"""The manifest is a symbolic link to the genuine one in another folder."""

from pathlib import Path

from tests.support.attacks import MANIFEST

Path("elsewhere").mkdir()
MANIFEST.rename("elsewhere/tea.manifest.json")
MANIFEST.symlink_to("elsewhere/tea.manifest.json")
