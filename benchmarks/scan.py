"""What does a scan find of what was planted, what does it take for it, and at what cost?

    python benchmarks/scan.py [--rows 20000] [--runs 3]

Recall: of each kind, so many invented data are drawn and planted into sentences, and counted is
whether the mark stands in the place of all of it. Precision: look-alikes, which are no data of
anybody, are planted in the same sentences, and counted is what is marked there; prose without
anything is scanned, too. Speed: rows a second of records with two turns of prose, one in a hundred
with something planted, as a ratio to the baseline: one search of each text for a pattern of e-mail
addresses by Python's `re`.
"""

from __future__ import annotations

import argparse
import random
import re
import string
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from teapot.findings import redacted
from teapot.model.record import Message
from teapot.personaldata import is_card
from teapot.scanning import Scanner

_ALNUM, _DIGITS, _HEX = string.ascii_letters + string.digits, string.digits, "0123456789abcdef"
_BASE32 = string.ascii_uppercase + "234567"
_SENTENCES = (
    "My note of today says {} and nothing else.",
    "<think>\nIt must be {}\n</think>\n\nI have seen it.",
    'config = {{"value": "{}", "n": 3}}',
    "Zapiš si {}, prosím. 中文 follows.",
    "She wrote: (it is {}). Then she left.",
    "**{}** it was!",
    "See <{}> or not.",
    "用{}。",
)
_PROSE = (
    "the kettle was warm when she came home and nobody had asked why a letter of the year before "
    "lay open on the table beside bread tea and a map of the old harbour that showed no road"
)
_WORDS = _PROSE.split()
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--planted", type=int, default=500, help="of each kind")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    drawn = random.Random(20261128)
    began = time.perf_counter()
    scanner = Scanner()
    print(f"made ready once in a process: {time.perf_counter() - began:.1f} s\n")
    _print_recall(scanner, drawn, options.planted)
    _print_precision(scanner, drawn, options.planted)
    _print_speed(scanner, drawn, options.rows, options.runs)


def _print_recall(scanner: Scanner, drawn: random.Random, count: int) -> None:
    print("| planted | found whole | in part | missed | recall |")
    print("| --- | ---: | ---: | ---: | ---: |")
    whole = total = 0
    for kind, make in _planted(drawn).items():
        sums = [0, 0, 0]
        for number in range(count):
            datum, sentence = make(), _SENTENCES[number % len(_SENTENCES)]
            text = sentence.format(datum)
            left = redacted(text, scanner.findings(text))
            before, after = sentence.format("\0").split("\0")
            is_whole = left.startswith(before) and left.endswith(after) and datum not in left
            marked = left[len(before) : len(left) - len(after)]
            is_whole = is_whole and re.fullmatch(r"\[REDACTED:[a-z0-9-]+\]", marked) is not None
            sums[0 if is_whole else 1 if left != text else 2] += 1
        whole, total = whole + sums[0], total + count
        print(f"| {kind} | {sums[0]} | {sums[1]} | {sums[2]} | {sums[0] / count:.3f} |")
    print(f"| all | {whole} | | | {whole / total:.3f} |\n")


def _print_precision(scanner: Scanner, drawn: random.Random, count: int) -> None:
    print("| look-alike | texts | marked |")
    print("| --- | ---: | ---: |")
    marked = 0
    for kind, make in _look_alikes(drawn).items():
        texts = [_SENTENCES[n % len(_SENTENCES)].format(make()) for n in range(count)]
        wrong = sum(bool(scanner.findings(text)) for text in texts)
        marked += wrong
        print(f"| {kind} | {count} | {wrong} |")
    found = len(_planted(drawn)) * count
    print(f"\nprecision where each stands as often as each planted: {found / (found + marked):.4f}")
    print("(the tables' own mixture: in real data look-alikes are many and data few)\n")


def _print_speed(scanner: Scanner, drawn: random.Random, rows: int, runs: int) -> None:
    records = [_record(drawn, number) for number in range(rows)]
    characters = sum(len(message["content"]) for record in records for message in record)
    methods: dict[str, Callable[[list[Message]], object]] = {
        "one re search for e-mail (baseline)": lambda record: [
            _EMAIL.search(message["content"]) for message in record
        ],
        "secrets": lambda record: secrets.of_record(record, None),
        "personal data": lambda record: personal.of_record(record, None),
        "both": lambda record: scanner.of_record(record, None),
    }
    secrets, personal = Scanner(personal=False), Scanner(secrets=False)
    print(f"{rows:,} rows of {characters / rows:.0f} characters, best of {runs}\n")
    print("| method | rows a second | × baseline |")
    print("| --- | ---: | ---: |")
    base = 0.0
    for name, method in methods.items():
        speed = max(_speed(method, records) for _ in range(runs))
        base = base or speed
        print(f"| {name} | {speed:,.0f} | {speed / base:.2f} |")


def _speed(method: Callable[[list[Message]], object], records: list[list[Message]]) -> float:
    began = time.perf_counter()
    for record in records:
        method(record)
    return len(records) / (time.perf_counter() - began)


def _record(drawn: random.Random, number: int) -> list[Message]:
    texts = [" ".join(drawn.choices(_WORDS, k=length)) + "." for length in (30, 150)]
    if number % 100 == 0:
        planted = list(_planted(drawn).values())
        texts[1] += " " + planted[number // 100 % len(planted)]()
    return [
        {"role": "user", "content": texts[0]},
        {"role": "assistant", "content": texts[1]},
    ]


def _planted(drawn: random.Random) -> dict[str, Callable[[], str]]:
    """Return what draws one datum of each kind."""

    def some(count: int, signs: str = _ALNUM) -> str:
        return "".join(drawn.choices(signs, k=count))

    def key(head: str) -> str:
        body = "\n".join(some(64) for _ in range(drawn.randint(3, 20)))
        return f"-----BEGIN {head}PRIVATE KEY-----\n{body}\n-----END {head}PRIVATE KEY-----"

    def card() -> str:
        head = drawn.choice(("4539", "5412", "2301", "6011")) + some(11, _DIGITS)
        number = next(head + last for last in _DIGITS if is_card(head + last))
        return " ".join(number[at : at + 4] for at in range(0, 16, 4))

    def iban() -> str:
        body = "0800" + some(16, _DIGITS)
        body = _czech_account(body)
        check = 98 - int(body + "123500") % 97
        return f"CZ{check:02d}{body}"

    return {
        "GitHub token": lambda: "ghp_" + some(36),
        "GitLab token": lambda: "glpat-" + some(20),
        "OpenAI key": lambda: "sk-proj-" + some(74) + "T3Blbk" + "FJ" + some(74),
        "Anthropic key": lambda: "sk-ant-" + "api03-" + some(93) + "AA",
        "Hugging Face token": lambda: "hf_" + some(34, string.ascii_letters),
        "Google key": lambda: "AI" + "za" + some(35),
        "Slack token": lambda: f"xoxb-{some(12, '123456789')}-{some(13, '123456789')}-{some(24)}",
        "Stripe key": lambda: "sk_" + "live_" + some(24),
        "npm token": lambda: "npm_" + some(36),
        "SendGrid key": lambda: f"SG.{some(22)}.{some(43)}",
        "RSA key": lambda: key("RSA "),
        "PKCS8 key": lambda: key(""),
        "e-mail address": lambda: f"{some(9).lower()}.{some(4).lower()}@{some(7).lower()}-tea.org",
        "telephone number": lambda: (
            f"+420 60{some(1, '2345678')} {some(3, _DIGITS)} " + some(3, _DIGITS)
        ),
        "payment card": card,
        "IBAN": iban,
    }


def _czech_account(body: str) -> str:
    """Return a bank code and account whose two parts have the checksums of Czech accounts."""
    weights = (6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    bank, prefix, number = body[:4], body[4:10], body[10:]

    def mended(digits: str) -> str:
        for last in range(100):
            made = f"{digits[:-2]}{last:02d}"
            pairs = zip(weights[-len(made) :], made, strict=True)
            if sum(weight * int(digit) for weight, digit in pairs) % 11 == 0:
                return made
        raise AssertionError(digits)

    return bank + mended(prefix) + mended(number)


def _look_alikes(drawn: random.Random) -> dict[str, Callable[[], str]]:
    """Return what draws one text that looks like a datum and is none."""

    def some(count: int, signs: str = _ALNUM) -> str:
        return "".join(drawn.choices(signs, k=count))

    def no_card() -> str:
        head = "4539" + some(11, _DIGITS)
        return next(head + last for last in drawn.sample(_DIGITS, 10) if not is_card(head + last))

    return {
        "SHA-256": lambda: some(64, _HEX),
        "commit": lambda: some(40, _HEX),
        "UUID": lambda: "-".join(some(n, _HEX) for n in (8, 4, 4, 4, 12)),
        "number of 16 digits": lambda: "7" + some(15, _DIGITS),
        "card with a wrong sum": no_card,
        "IBAN with a wrong sum": lambda: f"CZ01{some(20, _DIGITS)}",
        "Base64 of an image": lambda: "data:image/png;base64,iVBORw0KGgo" + some(120),
        "address at example.com": lambda: f"{some(8).lower()}@example.com",
        "file name": lambda: f"{some(6).lower()}@2x.png",
        "AWS key id alone": lambda: "AKIA" + some(16, _BASE32),
        "random identifier": lambda: f"{some(8)}_{some(12)}",
        "version": lambda: f"+{some(1, _DIGITS)}.{some(2, _DIGITS)}.{some(3, _DIGITS)}",
        "words": lambda: " ".join(drawn.choices(_WORDS, k=40)),
    }


if __name__ == "__main__":
    main()
