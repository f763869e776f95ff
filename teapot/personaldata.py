"""Finds personal data in a text that can be told for sure: addresses and numbers with a checksum.

E-mail addresses, telephone numbers in the international form, payment cards and IBANs. Numbers are
judged by the libraries phonenumbers and schwifty, which come with the extra `scan`. Names, streets
and numbers that mean something by their context alone are not found. What is reserved or published
for examples is no finding: it is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from teapot.errors import MissingExtraError
from teapot.findings import PERSONAL, Finding

DETECTORS = ("phonenumbers", "schwifty")
"""The distributions whose versions decide what is found."""

# Scripts that are written without spaces do not belong to an address that stands behind them.
_LETTERS = "0-9A-Za-z\u00c0-\u024f\u0370-\u052f"
_EMAIL = re.compile(
    rf"(?<![{_LETTERS}_.%+-])[{_LETTERS}_%+-](?:[{_LETTERS}_.%+'-]{{0,62}}[{_LETTERS}_%+-])?"
    rf"@(?:[{_LETTERS}](?:[{_LETTERS}-]{{0,61}}[{_LETTERS}])?\.){{1,8}}"
    rf"(?:xn--[a-z0-9-]{{2,59}}|[A-Za-z\u00c0-\u024f\u0370-\u052f]{{2,24}})(?![{_LETTERS}_-])"
)
_RESERVED = re.compile(
    r"(?:(?:^|\.)example\.(?:com|net|org|edu)"
    r"|\.(?:example|invalid|test|localhost|local|localdomain|lan|internal|corp|home|arpa))$"
)
_NO_DOMAIN = frozenset((
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "pdf", "js", "mjs", "css", "html",
    "htm", "json", "yaml", "yml", "toml", "xml", "txt", "md", "py", "service", "socket",
    "timer", "mount", "target",
))  # fmt: skip
_PLACEHOLDER_DOMAINS = frozenset((
    "domain.com", "domain.tld", "email.com", "yourdomain.com", "mydomain.com",
    "yourcompany.com", "company.com", "host.com", "server.com", "site.com", "website.com",
    "foo.com", "bar.com", "acme.com",
))  # fmt: skip
_ROLE_NAMES = frozenset(("git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply"))

_CARD = re.compile(
    r"(?<![A-Za-z0-9_.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|\d{4}([ -]?)\d{6}\2\d{5})"
    r"(?![A-Za-z0-9_-])"
)
_ISSUED = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
)
_TEST_CARDS = frozenset((
    "4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556",
    "4000000000000002", "5555555555554444", "5105105105105100", "5200828282828210",
    "2223003122003222", "378282246310005", "371449635398431", "6011111111111117",
    "6011000990139424", "3566002020360505",
))  # fmt: skip
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2})[0-9]{2}")
_EXAMPLE_IBANS = frozenset((
    "DE89370400440532013000", "GB82WEST12345698765432", "GB29NWBK60161331926819",
    "FR1420041010050500013M02606", "GB33BUKB20201555555555", "CH9300762011623852957",
    "NL91ABNA0417164300", "AT611904300234573201", "BE68539007547034",
    "ES9121000418450200051332",
))  # fmt: skip
_PHONE_HINT = re.compile(r"\+\s?\(?\d")
_FICTION = re.compile(r"\+1\d{3}55501\d{2}")


class PersonalScanner:
    """Finds personal data; several threads may use one.

    Raises:
        MissingExtraError: the extra `scan` is not installed.
    """

    def __init__(self) -> None:
        try:
            import phonenumbers
            from schwifty import IBAN, registry
            from schwifty.exceptions import InvalidCountryCode
        except ImportError as error:
            raise MissingExtraError("scanning for personal data", "scan") from error
        self._phones: Any = phonenumbers
        self._iban = IBAN
        self._iban_specs = registry.get_iban_spec
        self._unknown_country = InvalidCountryCode
        self._iban_rests: dict[str, re.Pattern[str] | None] = {}

    def findings(self, text: str) -> Iterator[Finding]:
        """Yield what is found, in no order; some may overlap."""
        if "@" in text:
            yield from _emails(text)
        for match in _CARD.finditer(text):
            if is_card(re.sub("[ -]", "", match[0])):
                yield Finding(match.start(), match.end(), "card", PERSONAL)
        yield from self._ibans(text)
        if _PHONE_HINT.search(text):
            yield from self._numbers(text)

    def _ibans(self, text: str) -> Iterator[Finding]:
        for head in _IBAN_HEAD.finditer(text):
            rest = self._iban_rest(head[1])
            match = rest.match(text, head.end()) if rest is not None else None
            if match is not None:
                written = text[head.start() : match.end()].replace(" ", "")
                is_iban = self._iban(written, allow_invalid=True).is_valid
                if is_iban and written not in _EXAMPLE_IBANS:
                    yield Finding(head.start(), match.end(), "iban", PERSONAL)

    def _iban_rest(self, country: str) -> re.Pattern[str] | None:
        """Return what follows the head of a country's IBANs: words in capitals may stand behind."""
        if country not in self._iban_rests:
            try:
                left = self._iban_specs(country).iban_length - 4
            except self._unknown_country:
                self._iban_rests[country] = None
            else:
                pattern = rf"(?: ?[A-Z0-9]){{{left}}}(?![A-Za-z0-9])"
                self._iban_rests[country] = re.compile(pattern)
        return self._iban_rests[country]

    def _numbers(self, text: str) -> Iterator[Finding]:
        form = self._phones.PhoneNumberFormat.E164
        for match in self._phones.PhoneNumberMatcher(text, None, max_tries=len(text)):
            if not _FICTION.fullmatch(self._phones.format_number(match.number, form)):
                yield Finding(match.start, match.end, "phone", PERSONAL)


def _emails(text: str) -> Iterator[Finding]:
    for match in _EMAIL.finditer(text):
        name, _, domain = match[0].lower().partition("@")
        top = domain.rpartition(".")[2]
        is_nobodys = (
            _RESERVED.search(domain) or domain in _PLACEHOLDER_DOMAINS or name in _ROLE_NAMES
        )
        if not is_nobodys and top not in _NO_DOMAIN:
            yield Finding(match.start(), match.end(), "email", PERSONAL)


def is_card(digits: str) -> bool:
    """Tell whether digits are the number of a payment card: issuer, length, ISO/IEC 7812-1 sum."""
    if _ISSUED.fullmatch(digits) is None or digits in _TEST_CARDS:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0
