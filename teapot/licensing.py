"""Licences as SPDX expressions: what a text means, and whether a policy lets it in.

A missing, misspelt or `unknown` licence never passes, whatever is allowed. `all` means every
licence of the SPDX list; a `LicenseRef-…` of one's own passes only where it is listed by name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from teapot.model.record import Fault

_LICENSE_REF = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


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


class LicenseJudge(Protocol):
    """Says of a row's licence whether it may enter."""

    def judge(self, license_text: object) -> LicenseVerdict | Fault:
        """Return the verdict, or the fault that makes the row a bad one."""
        ...


class LicensePolicy:
    """Judges licences against the allowed ones; None allows every licence of the SPDX list.

    `A OR B` enters if either does, `A AND B` only if both do.
    """

    def __init__(self, allowed: Iterable[str] | None) -> None:
        self._allowed = None if allowed is None else frozenset(map(_normal, allowed))
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
        return LicenseVerdict(expression.text, self._enters(expression.tree))

    def _enters(self, tree: Any) -> bool:
        if tree.__class__.__name__ == "OR":
            return any(self._enters(part) for part in tree.args)
        if tree.__class__.__name__ == "AND":
            return all(self._enters(part) for part in tree.args)
        text = str(tree)
        if self._allowed is None:
            return not text.startswith("LicenseRef-")
        return text in self._allowed


def _normal(text: str) -> str:
    expression = parse_license(text)
    return text if isinstance(expression, Fault) else expression.text


def _missing(found: object) -> Fault:
    shown = "none" if found is None else repr(found)
    told = f"no licence (found {shown}), expected an SPDX id such as Apache-2.0"
    return Fault("license-missing", told)


@lru_cache(maxsize=4096)
def _parse(text: str) -> SpdxExpression | Fault:
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
