"""A model.sig by the trusted key ignores the data file, which is then edited."""

from dataclasses import replace
from pathlib import Path

from teapot.bundle import Bundle
from teapot.model_signing import FolderStatement
from teapot.signed_folder import sign_folder
from tests.support.attacks import DATA, swap
from tests.support.environment import own_key

sign_folder(Path(), own_key())
honest = FolderStatement.parse(Bundle.parse(Path("model.sig").read_bytes()).payload)
others = tuple(pair for pair in honest.resources if pair[0] != "tea.jsonl")
said = replace(honest, resources=others, ignored=(*honest.ignored, "tea.jsonl"))
Path("model.sig").write_bytes(Bundle.sign(said.to_bytes(), own_key()).to_bytes())
swap(DATA, b"Question 2 of black", b"Question 9 of black")
