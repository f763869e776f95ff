"""A stranger signs the folder anew with a key of their own."""

from pathlib import Path

from teapot.signed_folder import sign_folder
from tests.support.attacks import stranger

sign_folder(Path(), stranger())
