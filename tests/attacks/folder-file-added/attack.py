"""A file is added to a signed folder."""

from pathlib import Path

from teapot.signed_folder import sign_folder
from tests.support.environment import own_key

sign_folder(Path(), own_key())
Path("code.py").write_text("print()\n")
