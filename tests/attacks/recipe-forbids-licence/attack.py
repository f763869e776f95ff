"""The trusted key signs a recipe that allows another licence than the data has."""

from tests.support.attacks import MANIFEST, mend_recipe_digest, sign, swap

swap(MANIFEST, b'"licenses": "all"', b'"licenses": [\n            "CC0-1.0"\n          ]')
mend_recipe_digest()
sign()
