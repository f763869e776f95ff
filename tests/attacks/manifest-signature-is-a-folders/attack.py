"""The signature of a folder is put in the place of the manifest's bundle."""

from pathlib import Path

from teapot.signed_folder import sign_folder
from tests.support.attacks import BUNDLE
from tests.support.environment import own_key

sign_folder(Path(), own_key()).replace(BUNDLE)
