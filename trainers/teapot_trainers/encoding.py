"""From a rendered conversation to token ids and labels, exact to the token.

Masks are made from the offsets of the tokens in the text. A token that stands on both sides of the
border of what is trained cannot be masked right, so its row is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from teapot.errors import DataError, Problem
from teapot.model.encoded import IGNORED, Encoded
from teapot.model.examined import TokenFacts
from teapot.model.rendered import Rendered, Span
from teapot.rowrules import is_supervised, one_bos, turns_end
from teapot_trainers.tokenization import BaseTokenizer

_SHOWN_CHARACTERS = 30


def encode_rows(tokenizer: BaseTokenizer, rows: Sequence[Rendered]) -> list[Encoded | DataError]:
    """Return each row as ids and labels, or why it cannot be trained; rows in memory at once."""
    return [
        made if isinstance(made, DataError) else _kept_or_refused(made, tokenizer.facts)
        for made in label_rows(tokenizer, rows)
    ]


def label_rows(tokenizer: BaseTokenizer, rows: Sequence[Rendered]) -> list[Encoded | DataError]:
    """Return each row as ids and labels whatever rules it breaks, or why it has no exact labels."""
    encodings = tokenizer.encode([row.text for row in rows])
    return [_labelled(row, encoding) for row, encoding in zip(rows, encodings, strict=True)]


def encode_row(tokenizer: BaseTokenizer, row: Rendered) -> Encoded:
    """Return one row as ids and labels.

    Raises:
        DataError: it has no supervised token, more or fewer BOS than one, a token on both sides of
            a span's border, or a span that does not end on the token that ends a turn.
    """
    (encoded,) = encode_rows(tokenizer, [row])
    if isinstance(encoded, DataError):
        raise encoded
    return encoded


def _kept_or_refused(row: Encoded, tokens: TokenFacts) -> Encoded | DataError:
    found = [rule(row, tokens) for rule in (one_bos, turns_end, is_supervised)]
    problems = [_problem(told) for told in found if told is not None]
    return DataError(*problems) if problems else row


def _labelled(row: Rendered, encoding: Any) -> Encoded | DataError:
    ids = array("i", encoding.ids)
    labels = array("i", [IGNORED]) * len(ids)
    problems = []
    for span in row.supervised:
        first, last = _token_at(encoding, span.start), _token_at(encoding, span.stop - 1)
        if first.start < span.start:
            problems.append(_border(row.text, first, span))
        elif last.start < 0 or last.stop > span.stop:
            problems.append(_border(row.text, last, span))
        else:
            trained = slice(first.place, last.place + 1)
            labels[trained] = ids[trained]
    return DataError(*problems) if problems else Encoded(ids, labels)


class _Token(NamedTuple):
    """A token's place among the tokens, and its characters in the text."""

    place: int
    start: int
    stop: int


def _token_at(encoding: Any, character: int) -> _Token:
    """Return the token that writes a character; of several, the first.

    Where the tokenizer lets the character fall, it is a token of no place that ends nothing.
    """
    place = encoding.char_to_token(character)
    if place is None:
        return _Token(0, -1, character)
    return _Token(place, *encoding.token_to_chars(place))


def _border(text: str, token: _Token, span: Span) -> Problem:
    if token.start < 0:
        found = text[token.stop]
        return _problem(f"the tokenizer writes {found!r} with no token ({_shown(text, span)})")
    shown = text[token.start : token.stop]
    told = f"the token {shown!r} stands on both sides of the border of a trained part"
    hint = "; white space at the start of an answer does that, trim it in the module"
    return _problem(f"{told} ({_shown(text, span)}){hint}")


def _shown(text: str, span: Span) -> str:
    piece = text[span.start : span.stop]
    cut = piece if len(piece) <= _SHOWN_CHARACTERS else piece[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)


def _problem(message: str) -> Problem:
    return Problem("", message, "")
