"""The signature is a symbolic link to a file that its reader may see and the attacker may not."""

from pathlib import Path

from tests.support.attacks import BUNDLE

Path("elsewhere").mkdir()
BUNDLE.rename("elsewhere/secret.txt")
BUNDLE.symlink_to("elsewhere/secret.txt")
