"""A proof says that its record is on another line."""

from tests.support.attacks import edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof["leaves"][0].update(index=3))
