"""The trusted key signs a manifest whose tree of contents is another."""

from tests.support.attacks import MANIFEST, edit_json, sign

edit_json(
    MANIFEST,
    lambda manifest: manifest["predicate"]["teapot_composition"]["data"].update(
        contents_root="0" * 64
    ),
)
sign()
