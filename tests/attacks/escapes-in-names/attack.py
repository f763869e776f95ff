"""The trusted key signs names with terminal escapes, Markdown and text that runs backwards."""

from tests.support.attacks import MANIFEST, mend_recipe_digest, sign, swap

swap(MANIFEST, b"tea/black", b"tea/\\u001b[2J\\u001b]0;owned\\u0007black")
swap(MANIFEST, b"tea/green", b"tea/green\\r  OK          all is well\\n")
swap(MANIFEST, b"tea/white", "tea/[white](https://example.com)\u202e\u2028".encode())
mend_recipe_digest()
sign()
