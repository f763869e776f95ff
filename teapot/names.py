"""Which names of files are safe: they stay in their folder, and are the same on every machine."""

from __future__ import annotations

import re
import unicodedata

MAX_PATH = 4096  # what Linux takes
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")


def path_fault(name: str) -> str | None:
    """Return in words what keeps a name from being one safe relative path; None if nothing does."""
    segments = frozenset(name.split("/"))
    faults = (
        (not name, "is empty"),
        (len(name) > MAX_PATH, f"has more than {MAX_PATH:,} characters"),
        (SURROGATE.search(name), "is not UTF-8"),
        (CONTROL.search(name), "has a control character"),
        ("\\" in name, "has a backslash"),
        (name.startswith("/"), "is absolute"),
        (_DRIVE.match(name), "begins with a drive letter"),
        ("" in segments, "has an empty segment"),
        (segments & {".", ".."}, "has the segment . or .."),
        (not unicodedata.is_normalized("NFC", name), "is not in Unicode's form NFC"),
    )
    return next((told for is_wrong, told in faults if is_wrong), None)


def file_fault(name: str) -> str | None:
    """Return in words what keeps a name from being that of a file in the same folder."""
    if _DRIVE.match(name):
        return "begins with a drive letter"
    if "/" in name or "\\" in name:
        return "leads out of its folder"
    if name in ("", ".", ".."):
        return "names no file"
    if not name.isprintable():
        return "holds characters that cannot be seen"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode's form NFC, so another name could look the same"
    return None
