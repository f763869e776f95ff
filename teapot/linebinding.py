"""Whether each line of a file is the record that its ledger row claims to be on it."""

from __future__ import annotations

from pathlib import Path

from teapot.digest import DIGEST_BYTES
from teapot.errors import counted
from teapot.model.verification import CheckResult

MAX_SHOWN = 10
_BLOCK_BYTES = DIGEST_BYTES << 13


def check_binding(name: str, claimed: Path, found: Path, claims: int) -> CheckResult:
    """Compare, line by line, the digest that the ledger claims with the one the line has.

    Both files hold 32 bytes for each line; `claims` is how often the ledger claims any.
    """
    lines = 0
    unlike: list[int] = []
    with claimed.open("rb") as wanted, found.open("rb") as there:
        while block := there.read(_BLOCK_BYTES):
            expected = wanted.read(len(block))
            if block != expected:
                unlike.extend(
                    lines + at // DIGEST_BYTES + 1 for at in range(0, len(block), DIGEST_BYTES)
                    if block[at : at + DIGEST_BYTES] != expected[at : at + DIGEST_BYTES]
                )  # fmt: skip
            lines += len(block) // DIGEST_BYTES
    details = [f"line {line} is not the record that its row claims" for line in unlike[:MAX_SHOWN]]
    if len(unlike) > MAX_SHOWN:
        details.append(f"and {counted(len(unlike) - MAX_SHOWN, 'more such line')}")
    return CheckResult.compare(
        name, "digest of each line with the one that its ledger row claims",
        expected=f"{counted(lines, 'line')}, each claimed once",
        found=f"{counted(claims, 'line')}, {'not ' if claims != lines else ''}each claimed once",
        details=details,
    )  # fmt: skip
