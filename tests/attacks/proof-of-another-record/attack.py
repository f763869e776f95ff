"""A proof is handed over with a record that it is not about."""

from pathlib import Path

from tests.support.attacks import DATA, write_proof

write_proof("3")
Path("record.json").write_bytes(DATA.read_bytes().splitlines()[0])
