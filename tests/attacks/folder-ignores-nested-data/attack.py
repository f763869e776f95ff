"""A model.sig by the trusted key ignores a folder in which a composition lies, edited since."""

import shutil
from pathlib import Path

from teapot.bundle import Bundle
from teapot.digest import sha256_file
from teapot.model_signing import DEFAULT_IGNORED, FolderStatement
from tests.support.attacks import swap
from tests.support.environment import own_key

inner = Path("model", "data")
inner.mkdir(parents=True)
for name in ("tea.jsonl", "tea.ledger.parquet", "tea.manifest.json", "tea.manifest.sigstore.json"):
    shutil.move(name, inner / name)
Path("model", "weights.bin").write_bytes(b"weights")
digest = sha256_file(Path("model", "weights.bin"))
statement = FolderStatement(
    name="model", resources=(("weights.bin", digest),), ignored=(*DEFAULT_IGNORED, "data")
)
Path("model", "model.sig").write_bytes(Bundle.sign(statement.to_bytes(), own_key()).to_bytes())
swap(inner / "tea.jsonl", b"Question 2", b"Question 9", 1)
