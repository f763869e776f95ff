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
from teapot.model.rendered import Rendered, Span
from teapot_trainers.tokenization import BaseTokenizer

_SHOWN_CHARACTERS = 30


def encode_rows(tokenizer: BaseTokenizer, rows: Sequence[Rendered]) -> list[Encoded | DataError]:
    """Return each row as ids and labels, or why it cannot be trained; rows in memory at once."""
    encodings = tokenizer.encode([row.text for row in rows])
    return [
        _or_error(tokenizer, row, encoding)
        for row, encoding in zip(rows, encodings, strict=True)
    ]  # fmt: skip


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


def _or_error(tokenizer: BaseTokenizer, row: Rendered, encoding: Any) -> Encoded | DataError:
    ids = array("i", encoding.ids)
    labels = array("i", [IGNORED]) * len(ids)
    problems = _bos_faults(tokenizer, ids)
    ends = _end_ids(tokenizer)
    for span in row.supervised:
        first, last = _token_at(encoding, span.start), _token_at(encoding, span.stop - 1)
        if first.start < span.start:
            problems.append(_border(row.text, first, span))
        elif last.stop > span.stop or ids[last.place] not in ends:
            told = f"the part {_shown(row.text, span)} does not end on one end-of-turn token"
            problems.append(_problem(told))
        else:
            trained = slice(first.place, last.place + 1)
            labels[trained] = ids[trained]
    if not row.supervised:
        problems.append(_problem("nothing of it is trained"))
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


def _bos_faults(tokenizer: BaseTokenizer, ids: array[int]) -> list[Problem]:
    bos = tokenizer.base.bos
    if bos is None:
        return []
    found = ids.count(tokenizer.id_of(bos))
    if found == 1 and ids[0] == tokenizer.id_of(bos):
        return []
    return [_problem(f"has {found} {bos}, expected one, at the start")]


def _end_ids(tokenizer: BaseTokenizer) -> set[int]:
    base = tokenizer.base
    return {tokenizer.id_of(token) for token in (base.end_of_turn, base.end_of_call) if token}


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
