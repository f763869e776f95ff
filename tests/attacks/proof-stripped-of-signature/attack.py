"""A proof's bundles are taken out, and a bare manifest is put in."""

from tests.support.attacks import MANIFEST, edit_json, write_proof

path = write_proof("3")
edit_json(path, lambda proof: proof.update(bundles=[], manifest=MANIFEST.read_text()))
