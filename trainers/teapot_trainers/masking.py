"""One rendered conversation cut into pieces, for people to see what of it is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from teapot.model.base import Base
from teapot.model.encoded import IGNORED
from teapot.model.masked import MaskedPiece
from teapot.model.rendered import Rendered
from teapot_trainers.encoding import encode_row
from teapot_trainers.tokenization import BaseTokenizer


def pieces_of_text(base: Base, row: Rendered) -> Iterator[MaskedPiece]:
    """Yield control tokens and the text between them, as no tokenizer is needed to tell them."""
    tokens = sorted(base.control_tokens, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, tokens)))
    borders = {0, len(row.text), *(border for span in row.supervised for border in span)}
    special = {match.start(): match.end() for match in pattern.finditer(row.text)}
    cuts = sorted(borders | set(special) | set(special.values()))
    for start, stop in pairwise(cuts):
        is_trained = any(span.start <= start < span.stop for span in row.supervised)
        yield MaskedPiece(row.text[start:stop], is_trained, special.get(start) == stop)


def pieces_of_tokens(tokenizer: BaseTokenizer, row: Rendered) -> Iterator[MaskedPiece]:
    """Yield every token with its id.

    Raises:
        DataError: the row cannot be trained.
    """
    encoded = encode_row(tokenizer, row)
    (encoding,) = tokenizer.encode([row.text])
    special = {tokenizer.id_of(token) for token in tokenizer.base.control_tokens}
    shown = 0
    for identity, label, (_, stop) in zip(
        encoded.ids, encoded.labels, encoding.offsets, strict=True
    ):
        text = row.text[shown : max(shown, stop)]
        shown = max(shown, stop)
        yield MaskedPiece(text, label != IGNORED, identity in special, identity)
