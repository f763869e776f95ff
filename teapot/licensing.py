"""Licences as SPDX expressions: what a text means, and whether a policy lets it in.

A missing, misspelt or `unknown` licence never passes, whatever is allowed. `all` means every
licence of the SPDX list; a `LicenseRef-…` of one's own passes only where it is listed by name.
Under a profile, what its data does not know is a fault, unless it is listed by name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from teapot.licenseterms import license_data, passing
from teapot.model.config import License
from teapot.model.record import Fault

_LICENSE_REF = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_WORD = re.compile(r"[A-Za-z0-9.+-]+")


@dataclass(frozen=True, slots=True)
class SpdxExpression:
    """A valid SPDX expression in its normal spelling, with its parsed tree."""

    text: str
    tree: Any


@dataclass(frozen=True, slots=True)
class LicenseVerdict:
    """What a policy says of one licence: its normal spelling, and whether it may enter."""

    text: str
    allowed: bool


def parse_license(text: str) -> SpdxExpression | Fault:
    """Return the expression in its normal spelling, or the fault that names the unknown part."""
    return _parse(text.strip())


def allowed_by(license_: License) -> tuple[str, ...] | None:
    """Return the ids that a config lets in, by name or profile, sorted; None for `all`."""
    if license_.allowed is None or not license_.profile:
        return license_.allowed
    return tuple(sorted({*map(_normal, license_.allowed), *passing(license_.profile)}))


def deprecated_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield each id in an expression that SPDX has given up, and what to write instead."""
    known = {old.lower(): (old, new) for old, new in license_data().deprecated.items()}
    for word in dict.fromkeys(_WORD.findall(text)):
        if word.lower() in known:
            yield known[word.lower()]


class LicenseJudge(Protocol):
    """Says of a row's licence whether it may enter."""

    def judge(self, license_text: object) -> LicenseVerdict | Fault:
        """Return the verdict, or the fault that makes the row a bad one."""
        ...


class LicensePolicy:
    """Judges licences against the allowed ones; None allows every licence of the SPDX list.

    `A OR B` enters if either does, `A AND B` only if both do. Under a `profile` what passes it
    enters beside the allowed, and what nobody knows the terms of is a fault where it decides.
    """

    def __init__(self, allowed: Iterable[str] | None, profile: tuple[str, ...] = ()) -> None:
        self._allowed = None if allowed is None else frozenset(map(_normal, allowed))
        self._profile = profile
        if profile:
            self._allowed = (self._allowed or frozenset()) | passing(profile)
        self._verdicts: dict[object, LicenseVerdict | Fault] = {}

    def judge(self, license_text: object) -> LicenseVerdict | Fault:
        """Return the verdict on one row's licence, or the fault that makes the row a bad one."""
        if not isinstance(license_text, str):
            return _missing(license_text)
        verdict = self._verdicts.get(license_text)
        if verdict is None:
            verdict = self._verdicts[license_text] = self._judge(license_text)
        return verdict

    def _judge(self, license_text: str) -> LicenseVerdict | Fault:
        if not license_text.strip():
            return _missing(license_text)
        expression = parse_license(license_text)
        if isinstance(expression, Fault):
            return expression
        enters = self._enters(expression.tree)
        if isinstance(enters, str):
            return _unprofiled(enters, self._profile)
        return LicenseVerdict(expression.text, enters)

    def _enters(self, tree: Any) -> bool | str:
        """Tell whether an expression enters, or name the licence on which that hangs."""
        if tree.__class__.__name__ in ("OR", "AND"):
            decides: bool = tree.__class__.__name__ == "OR"
            parts = [self._enters(part) for part in tree.args]
            if decides in parts:
                return decides
            return next((part for part in parts if isinstance(part, str)), not decides)
        text = str(tree)
        if self._allowed is None:
            return not text.startswith("LicenseRef-")
        if self._profile and text not in self._allowed and text not in license_data().licenses:
            return text
        return text in self._allowed


def _normal(text: str) -> str:
    expression = parse_license(text)
    return text if isinstance(expression, Fault) else expression.text


def _unprofiled(text: str, profile: tuple[str, ...]) -> Fault:
    told = (
        f"Teapot's licence data {license_data().version} does not know the terms of {text}, so it "
        f"passes no profile (asked for: {', '.join(profile)}); to let it in, name it in "
        f"license.allowed: [{text}]"
    )
    return Fault("license-unprofiled", told)


def _missing(found: object) -> Fault:
    shown = "none" if found is None else repr(found)
    told = f"no licence (found {shown}), expected an SPDX id such as Apache-2.0"
    return Fault("license-missing", told)


@lru_cache(maxsize=4096)
def _parse(text: str) -> SpdxExpression | Fault:
    parsed = _parse_known(text)
    if isinstance(parsed, Fault):
        for old, new in deprecated_in(text):
            if "WITH" in new:  # the others are read as their successors
                return replace(parsed, hint=f"{old} is a deprecated SPDX id, write {new}")
    return parsed


def _parse_known(text: str) -> SpdxExpression | Fault:
    from license_expression import ExpressionError

    licensing = _licensing()
    try:
        tree = licensing.parse(text, strict=True)
    except ExpressionError as error:
        return Fault("license-unknown", f"{text!r} is not an SPDX expression", hint=str(error))
    except (AssertionError, IndexError, TypeError):  # what the library does with "()"
        return Fault("license-unknown", f"{text!r} is not an SPDX expression")
    unknown = [
        key for key in licensing.unknown_license_keys(tree) if not _LICENSE_REF.fullmatch(key)
    ]
    if tree is None or unknown:
        key = unknown[0] if unknown else text
        return Fault("license-unknown", f"{key!r} is not an SPDX licence id", hint=_near(key))
    return SpdxExpression(str(tree), tree)


@lru_cache(maxsize=1)
def _licensing() -> Any:
    """Return the SPDX list, without what the library takes a LicenseRef to stand for."""
    from license_expression import build_spdx_licensing, get_license_index

    licensing = build_spdx_licensing([_without_refs(entry) for entry in get_license_index()])
    licensing.get_advanced_tokenizer()  # else it would be made while other threads use it already
    return licensing


def _without_refs(entry: Any) -> Any:
    aliases = entry.get("other_spdx_license_keys", ())
    own = [alias for alias in aliases if not alias.startswith("LicenseRef-")]
    return {**entry, "other_spdx_license_keys": own}


def _near(key: str) -> str:
    known = {name.lower(): name for name in _licensing().known_symbols}
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.75)
    return f"did you mean {known[near[0]]}?" if near else ""
