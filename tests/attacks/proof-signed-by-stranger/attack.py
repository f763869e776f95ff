"""A stranger signs the manifest in a proof anew."""

from teapot.bundle import Bundle
from teapot.canonical import loads
from tests.support.attacks import MANIFEST, edit_json, stranger, write_proof

path = write_proof("3")
bundle = loads(Bundle.sign(MANIFEST.read_bytes(), stranger()).to_bytes())
edit_json(path, lambda proof: proof.update(bundles=[bundle]))
