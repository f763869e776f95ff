"""The trusted key signs a recipe, with its digest, that is not what the manifest says was done."""

from tests.support.attacks import MANIFEST, mend_recipe_digest, sign, swap

swap(MANIFEST, b'"weight": "2"', b'"weight": "3"', 1)
mend_recipe_digest()
sign()
