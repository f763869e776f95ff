"""The trusted key signs a manifest with another Merkle root."""

from tests.support.attacks import MANIFEST, edit_json, sign

edit_json(
    MANIFEST,
    lambda manifest: manifest["predicate"]["teapot_composition"]["data"].update(
        merkle_root="0" * 64
    ),
)
sign()
