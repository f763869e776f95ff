"""How many lines each module gives: one exact answer to all that was asked, or why there is none.

In this order, in whole numbers and fractions, so that every machine finds the same:

- a weight w on n usable records gives floor(w x n) lines, rows give themselves, and tokens the
  number of lines that comes nearest at the module's mean tokens for each usable record;
- a group gives its rows, split by n^(1/temperature);
- shares S of the mix's rows beside F lines of all others make the mix T = F / (1 - S) lines long.

Lines are split by largest remainder: everybody gets the whole part of what is due, the lines left
go to the largest fractions, and among equal ones to the lowest SHA-256 of the module's name with
the seed. Powers are rounded to 40 digits, half to even, from logarithm and exponential at 60, which
the General Decimal Arithmetic specification rounds correctly. Nothing is ever clipped: what cannot
be had is a `Conflict`, and one is enough to have no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from hashlib import sha256

from teapot.model.amount import Asked, AskedMix, Group, share_text
from teapot.model.report import decimal_text

TIE_LABEL = b"teapot/amount/v1"
_EXACT = Context(prec=60)
_ROUNDED = Context(prec=40)
_HALF = Fraction(1, 2)
_COLDEST, _HOTTEST = Decimal("0.01"), Decimal(1000)
MAX_REPEAT = Decimal(1000)
"""Lines for each usable record at most, as the largest weight has it, where no cap is told."""
Path_ = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usable:
    """What may stand on lines: records after duplicates are dropped, and their tokens."""

    records: int
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that cannot be had, and the place in the config that asks for it."""

    path: Path_
    told: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.told}"


class _NotSolvableError(Exception):
    """Ends one step; never leaves this module."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


def contradictions(asked: AskedMix) -> Iterator[Conflict]:
    """Yield what contradicts itself whatever the modules hold."""
    for name, group in sorted(asked.groups.items()):
        if not _COLDEST <= group.temperature <= _HOTTEST:
            told = f"found {group.temperature}, expected a number from {_COLDEST} to {_HOTTEST}"
            yield Conflict(("groups", name, "temperature"), told)
    yield from _whole_conflicts(asked)
    yield from _share_conflicts(asked)


def _whole_conflicts(asked: AskedMix) -> Iterator[Conflict]:
    whole = asked.whole
    other = "tokens" if whole.share_of == "rows" else "rows"
    if getattr(whole, other) is not None:
        told = f"shares are of {whole.share_of}; say amounts.{whole.share_of}, or share_of: {other}"
        yield Conflict(("amounts", other), told)
    elif getattr(whole, whole.share_of) is not None and not asked.has_shares:
        told = "no module has a share of it; to check the length of the mix, use expect.examples"
        yield Conflict(("amounts", whole.share_of), told)


def _share_conflicts(asked: AskedMix) -> Iterator[Conflict]:
    shares, whole = _shares(asked), asked.whole
    total = sum(shares.values(), Fraction(0))
    given = whole.rows if whole.share_of == "rows" else whole.tokens
    if not shares:
        return
    last, listed = ("modules", list(shares)[-1], "share"), _listed(shares)
    has_others = len(shares) < len(asked.modules)
    if total > 1:
        told = f"the shares sum to {share_text(total)}, over 100%: {listed}; lower one of them"
        yield Conflict(last, told)
    elif given is None and total == 1 and has_others:
        told = f"the shares sum to 100% and leave nothing to the other modules: {listed}; lower one"
        yield Conflict(last, told)
    elif given is None and not has_others:
        told = (
            f"nothing says how long the mix is: every module is a share ({listed}); give another "
            f"module rows or a weight, or say amounts.{whole.share_of}"
        )
        yield Conflict(last, told)
    elif given is not None and not has_others and total < 1:
        told = f"the shares sum to {share_text(total)}, and the rest is nobody's: {listed}"
        yield Conflict(("amounts", whole.share_of), told)


def solve(
    asked: AskedMix, usable: Mapping[str, Usable]
) -> Mapping[str, int] | tuple[Conflict, ...]:
    """Return the number of lines of each module, or everything that stands against it."""
    conflicts = list(contradictions(asked))
    if conflicts:
        return tuple(conflicts)
    lines: dict[str, int] = {}
    for name, amount in sorted(asked.modules.items()):
        if amount.share is not None and not usable[name].records:
            told = f"it has no usable record to make {share_text(amount.share)} of the mix from"
            conflicts.append(Conflict(("modules", name, "share"), told))
        elif amount.share is None and amount.group is None:
            _try(conflicts, lines, partial(_fixed, name, amount, usable[name]))
    for name, group in sorted(asked.groups.items()):
        _try(conflicts, lines, partial(_grouped, name, group, asked.seed, usable))
    if asked.has_shares and not conflicts:
        by_tokens = asked.whole.share_of == "tokens"
        made = dict(lines)
        step = (
            partial(_shared_tokens, asked, made, usable)
            if by_tokens
            else partial(_shared_rows, asked, made)
        )
        _try(conflicts, lines, step)
    if not conflicts:
        conflicts.extend(_over_cap(asked, lines, usable))
    return tuple(conflicts) or dict(sorted(lines.items()))


def unique_lines(
    lines: Mapping[str, int], count: int, usable: Mapping[str, Usable]
) -> dict[str, int]:
    """Return how many records of each module so many epochs use, given its lines in one epoch."""
    return {name: min(number * count, usable[name].records) for name, number in lines.items()}


def apportion(quotas: Mapping[str, Fraction], total: int, seed: int) -> dict[str, int]:
    """Return whole numbers that sum to `total`, by largest remainder.

    `total` is not below the sum of the whole parts, and not above it by more than there are quotas.
    """
    made = {name: int(quota // 1) for name, quota in quotas.items()}
    left = total - sum(made.values())
    if not 0 <= left <= len(quotas):
        raise AssertionError("the quotas do not sum to about the total")
    order = sorted(quotas, key=lambda name: (made[name] - quotas[name], _rank(seed, name)))
    for name in order[:left]:
        made[name] += 1
    return made


def root(number: int, temperature: Decimal) -> Fraction:
    """Return number^(1/temperature) to 40 digits, half to even; 0 for 0, exact at 1."""
    if number == 0 or temperature == 1:
        return Fraction(number)
    logarithm = _EXACT.ln(Decimal(number))
    return Fraction(_ROUNDED.plus(_EXACT.exp(_EXACT.divide(logarithm, temperature))))


def _try(
    conflicts: list[Conflict], lines: dict[str, int], step: Callable[[], Mapping[str, int]]
) -> None:
    try:
        lines.update(step())
    except _NotSolvableError as error:
        conflicts.append(error.conflict)


def _fixed(name: str, asked: Asked, usable: Usable) -> Mapping[str, int]:
    """Return the lines of a module that depend on no other."""
    if asked.weight is not None:
        numerator, denominator = asked.weight.as_integer_ratio()
        return {name: numerator * usable.records // denominator}
    amount, what = (asked.rows, "rows") if asked.rows is not None else (asked.tokens, "tokens")
    assert amount is not None  # noqa: S101 - a module has one amount
    path = ("modules", name, what)
    if not usable.records:
        told = f"asked for {amount:,} {what}, and it has no usable record; look at what was dropped"
        raise _NotSolvableError(Conflict(path, told))
    if what == "rows":
        return {name: amount}
    return {name: _nearest(amount / _mean_tokens(path, usable))}


def _grouped(name: str, group: Group, seed: int, usable: Mapping[str, Usable]) -> Mapping[str, int]:
    records = {module: usable[module].records for module in group.modules}
    total = sum(records.values()) if group.rows is None else group.rows
    roots = {module: root(count, group.temperature) for module, count in records.items()}
    whole = sum(roots.values())
    if not whole:
        told = f"its modules have no usable record: {', '.join(sorted(records))}"
        raise _NotSolvableError(Conflict(("groups", name), told))
    quotas = {module: total * part / whole for module, part in roots.items()}
    return apportion(quotas, total, seed)


def _shared_rows(asked: AskedMix, lines: Mapping[str, int]) -> Mapping[str, int]:
    """Return the lines of the modules that are shares of the mix's rows."""
    shares, fixed = _shares(asked), sum(lines.values())
    total, given = sum(shares.values(), Fraction(0)), asked.whole.rows
    if given is None:
        quotas = {name: share * fixed / (1 - total) for name, share in shares.items()}
        _refuse_nothing(fixed, shares, "line")
        return apportion(quotas, _nearest(sum(quotas.values(), Fraction(0))), asked.seed)
    quotas = {name: share * given for name, share in shares.items()}
    if abs(total * given - (given - fixed)) >= 1:
        told = (
            f"found {given:,}, but {share_text(total)} of it beside the {fixed:,} lines of the "
            f"other modules makes {_nearest(total * given) + fixed:,}; remove it, or correct the "
            f"shares: {_listed(shares)}"
        )
        raise _NotSolvableError(Conflict(("amounts", "rows"), told))
    return apportion(quotas, given - fixed, asked.seed)


def _shared_tokens(
    asked: AskedMix, lines: Mapping[str, int], usable: Mapping[str, Usable]
) -> Mapping[str, int]:
    """Return the lines of the modules that are shares of the mix's tokens, as means have it."""
    shares = _shares(asked)
    fixed = sum(
        (Fraction(usable[name].tokens * count, usable[name].records)
         for name, count in lines.items() if count),
        Fraction(0),
    )  # fmt: skip
    total, given = sum(shares.values(), Fraction(0)), asked.whole.tokens
    if given is None:
        _refuse_nothing(fixed, shares, "token")
        given_tokens = fixed / (1 - total)
    elif fixed:
        told = (
            "says how many tokens the mix has, and so do the modules that are no shares; remove "
            "it, or make every module a share"
        )
        raise _NotSolvableError(Conflict(("amounts", "tokens"), told))
    else:
        given_tokens = Fraction(given)
    return {
        name: _nearest(
            share * given_tokens / _mean_tokens(("modules", name, "share"), usable[name])
        )
        for name, share in shares.items()
    }


def _over_cap(
    asked: AskedMix, lines: Mapping[str, int], usable: Mapping[str, Usable]
) -> Iterator[Conflict]:
    for name, amount in sorted(asked.modules.items()):
        cap = MAX_REPEAT if amount.max_repeat is None else amount.max_repeat
        most = int(Fraction(cap) * usable[name].records // 1)
        if lines[name] > most:
            raised = ", or raise max_repeat" if cap < MAX_REPEAT else ""
            told = (
                f"{_asking(name, amount)} makes {lines[name]:,} lines of "
                f"{usable[name].records:,} usable records, and max_repeat {decimal_text(cap)} "
                f"allows {most:,}; ask for less{raised}"
            )
            yield Conflict(("modules", name, "max_repeat"), told)


def _asking(name: str, asked: Asked) -> str:
    if asked.group is not None:
        return f"groups.{asked.group}"
    if asked.weight is not None:
        return f"weight {decimal_text(asked.weight)}"
    return " ".join(f"modules.{name}.{key}" for key in asked.written() or ())


def _refuse_nothing(fixed: int | Fraction, shares: Mapping[str, Fraction], what: str) -> None:
    if not fixed:
        told = (
            f"nothing says how long the mix is: the modules that are no shares have no {what}; "
            f"raise one of them ({_listed(shares)})"
        )
        raise _NotSolvableError(Conflict(("modules", list(shares)[-1], "share"), told))


def _shares(asked: AskedMix) -> dict[str, Fraction]:
    modules = sorted(asked.modules.items())
    return {name: amount.share for name, amount in modules if amount.share is not None}


def _mean_tokens(path: Path_, usable: Usable) -> Fraction:
    if not usable.tokens:
        told = "its usable records hold no token, so no number of lines has any"
        raise _NotSolvableError(Conflict(path, told))
    return Fraction(usable.tokens, usable.records)


def _listed(shares: Mapping[str, Fraction]) -> str:
    return ", ".join(f"modules.{name}.share {share_text(share)}" for name, share in shares.items())


def _nearest(number: Fraction) -> int:
    return int((number + _HALF) // 1)


def _rank(seed: int, module: str) -> bytes:
    return sha256(b"\0".join((TIE_LABEL, str(seed).encode(), module.encode()))).digest()
