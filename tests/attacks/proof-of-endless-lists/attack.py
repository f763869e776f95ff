"""A proof holds a page of three hundred thousand digests, each of which is wrong."""

from tests.support.attacks import edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof["leaves"][0].update(digests=["x"] * 300_000))
