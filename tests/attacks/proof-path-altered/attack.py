"""A hash on a proof's path is altered."""

from tests.support.attacks import edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof["leaves"][0]["path"].__setitem__(1, "00" * 32))
