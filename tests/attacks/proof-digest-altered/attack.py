"""A proof names the digest of another record than its leaf."""

from tests.support.attacks import edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof.update(digest="00" * 32))
