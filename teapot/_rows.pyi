"""The functions of teapot/_rows.c; teapot/rowscan.py says what they give."""

from typing import Any

ENTRY_BYTES: int
PLACE_BYTES: int

def scan_block(
    block: bytes | bytearray | memoryview, rules: tuple[Any, ...], keeps_lines: bool, /
) -> tuple[bytes, bytes, bytes, bytes]: ...
def gather_lines(places: Any, origins: tuple[Any, ...], /) -> tuple[bytes, bytes, int]: ...
