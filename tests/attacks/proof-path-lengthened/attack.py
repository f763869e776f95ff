"""A proof's path is made longer, so that an inner node passes for a record."""

from tests.support.attacks import edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof["leaves"][0]["path"].append("00" * 32))
