"""A page that shows what of one row is trained; it loads nothing and runs no script."""

from __future__ import annotations

import re
from html import escape

from teapot.model.masked import MaskedPiece, MaskedRow

_STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 15px/1.9 ui-monospace, monospace }
span { border: 1px solid #bbb; border-radius: 3px }
span, sub { unicode-bidi: isolate }
.trained { background: #b7ebc0; border-color: #2c7a3d; color: #06210c }
.special { font-weight: bold; border-style: dashed }
sub { color: #555; font-size: 10px }
"""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and marks that turn the direction of what follows."""


def mask_page(row: MaskedRow) -> str:
    """Return the page as HTML; whatever stands in the row is shown as text.

    What has no picture, or would move the text around it, is written as its number in hexadecimal.
    """
    title = escape(f"Line {row.line} as {row.base} is trained on it")
    has_tokens = any(piece.id is not None for piece in row.pieces)
    count = f"{row.trained} of {len(row.pieces)} tokens are trained. " if has_tokens else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<p>{count}<span class="trained">trained</span> <span>not trained</span> '
        '<span class="special">control token</span></p>\n'
        f"<pre>{''.join(map(_piece, row.pieces))}</pre>\n</body>\n</html>\n"
    )


def _piece(piece: MaskedPiece) -> str:
    kinds = [
        name
        for name, holds in (("trained", piece.is_trained), ("special", piece.is_special))
        if holds
    ]
    marks = f' class="{" ".join(kinds)}"' if kinds else ""
    identity = "" if piece.id is None else f"<sub>{piece.id}</sub>"
    text = _UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}", piece.text)
    return f"<span{marks}>{escape(text)}{identity}</span>"
