"""From a rendered conversation to token ids and labels, exact to the token.

Masks are made from the offsets of the tokens in the text. A token that stands on both sides of the
border of what is trained cannot be masked right, so its row is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

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
    ids: list[int] = encoding.ids
    offsets: list[tuple[int, int]] = encoding.offsets
    labels = [IGNORED] * len(ids)
    problems = _bos_faults(tokenizer, ids)
    ends = _end_ids(tokenizer)
    for span in row.supervised:
        first = bisect_left(offsets, (span.start,))
        last = bisect_left(offsets, (span.stop,), lo=first)
        straddling = _straddling(offsets, first, span.start) or _straddling(
            offsets, last, span.stop
        )
        if straddling is not None:
            problems.append(_border(row.text, straddling, span))
        elif first == last or ids[last - 1] not in ends:
            told = f"the part {_shown(row.text, span)} does not end on one end-of-turn token"
            problems.append(_problem(told))
        else:
            labels[first:last] = ids[first:last]
    if not row.supervised:
        problems.append(_problem("nothing of it is trained"))
    return DataError(*problems) if problems else Encoded(tuple(ids), tuple(labels))


def _straddling(offsets: list[tuple[int, int]], place: int, border: int) -> tuple[int, int] | None:
    """Return the characters of a token that stands before and after a border; `place` is after."""
    if place and offsets[place - 1][1] > border > offsets[place - 1][0]:
        return offsets[place - 1]
    return None


def _bos_faults(tokenizer: BaseTokenizer, ids: list[int]) -> list[Problem]:
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


def _border(text: str, token: tuple[int, int], span: Span) -> Problem:
    told = f"the token {text[slice(*token)]!r} stands on both sides of the border of a trained part"
    hint = "; white space at the start of an answer does that, trim it in the module"
    return _problem(f"{told} ({_shown(text, span)}){hint}")


def _shown(text: str, span: Span) -> str:
    piece = text[span.start : span.stop]
    cut = piece if len(piece) <= _SHOWN_CHARACTERS else piece[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)


def _problem(message: str) -> Problem:
    return Problem("", message, "")
