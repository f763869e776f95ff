"""A config's aliases unfold to a billion items."""

from itertools import pairwise
from pathlib import Path

lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise("abcdefghi")]
Path("mix.config").write_text("\n".join([*lines, "modules: *i"]) + "\n")
