"""The rules that every row must keep before it is trained; each says what is wrong, or None.

They look at a row from outside: ids against ids, text against the record, and the training template
against the tokenizer's own. None of them asks the code that made the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from teapot.model.encoded import Encoded
from teapot.model.examined import Examined, TokenFacts, runs_of

_SHOWN_CHARACTERS = 40


def same_template(row: Examined, tokens: TokenFacts) -> str | None:
    """Compare what the training template wrote with what the tokenizer's own writes.

    A template that is made for chatting may leave the last turn open; for training it is ended.
    """
    if row.own_text is None:
        return f"the tokenizer's own chat template refuses it: {row.own_fault}"
    if row.text in (row.own_text, row.own_text + tokens.end_of_turn):
        return None
    place = next(
        at for at, (ours, own) in enumerate(zip_longest(row.text, row.own_text)) if ours != own
    )
    ours, own = (_shown(text, place) for text in (row.text, row.own_text))
    return f"from character {place} on it is {ours}, in the tokenizer's own chat template {own}"


def one_bos(row: Encoded, tokens: TokenFacts) -> str | None:
    """Ask for exactly one BOS, at the start; a base without one has nothing to be asked for."""
    if tokens.bos is None:
        return None
    found = row.ids.count(tokens.bos)
    if found == 1 and row.ids[0] == tokens.bos:
        return None
    return f"has {found} BOS tokens (id {tokens.bos}), expected one, at the start"


def masked_text(row: Examined, tokens: TokenFacts) -> str | None:
    """Compare the text of the trained tokens with what the assistant says in the record.

    White space between the parts of a turn is the template's to keep or to trim, and tool calls are
    written in a way of its own: of them, the names are looked for.
    """
    if len(row.trained) != len(row.said):
        return f"{len(row.trained)} parts are trained, expected {len(row.said)}: one a turn"
    for turn, (trained, said) in enumerate(zip(row.trained, row.said, strict=True), start=1):
        rest = _after(trained, said.parts)
        if said.calls:
            is_same = rest is not None and all(name in rest for name in said.calls)
        else:
            is_same = rest is not None and rest.strip() == tokens.end_of_turn
        if not is_same:
            told = f"of the assistant's turn {turn}, {_shown(trained)} is trained"
            return f"{told}, but it says {_shown(''.join(said.parts))}"
    return None


def _after(text: str, parts: Iterable[str]) -> str | None:
    """Return what follows the parts with which a text begins; None where it does not."""
    for part in parts:
        text = text.lstrip()
        if not text.startswith(part):
            return None
        text = text.removeprefix(part)
    return text


def turns_end(row: Encoded, tokens: TokenFacts) -> str | None:
    """Ask that each trained part ends on the token that ends a turn."""
    for turn, run in enumerate(runs_of(row.labels), start=1):
        found = row.labels[run[-1]]
        if found not in tokens.ends:
            return f"its trained part {turn} ends on the id {found}, which ends no turn"
        if any(row.labels[place] in tokens.ends for place in run[:-1]):
            return f"its trained part {turn} goes on after a token that ends the turn"
    return None


def is_supervised(row: Encoded, tokens: TokenFacts) -> str | None:
    """Ask for at least one trained token, and for labels that are the ids they stand at."""
    if len(row.labels) != len(row.ids):
        return f"has {len(row.labels)} labels for {len(row.ids)} ids"
    runs = runs_of(row.labels)
    if not runs:
        return "nothing of it is trained"
    if any(row.labels[run.start : run.stop] != row.ids[run.start : run.stop] for run in runs):
        return "a label is another token than the one it stands at"
    return None


def _shown(text: str, start: int = 0) -> str:
    piece = text[start : start + _SHOWN_CHARACTERS]
    cut = piece + "…" if start + _SHOWN_CHARACTERS < len(text) else piece
    return repr(cut) if piece else "at its end"
