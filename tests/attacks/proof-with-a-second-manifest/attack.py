"""A proof holds a bare manifest beside the signed one, for readers who look there."""

from tests.support.attacks import edit_json, write_proof

edit_json(write_proof("3"), lambda proof: proof.update(manifest="a lie"))
