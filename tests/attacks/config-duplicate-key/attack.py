"""A config says one key twice: the reviewer reads the first, the program the last."""

from pathlib import Path

from tests.support.project import chat_rows, write_module

write_module(Path(), "tea/black", chat_rows("black", 3))
Path("mix.config").write_text(
    "license: {allowed: [MIT]}\nmodules: {tea/black: y}\nlicense: {allowed: all}\n"
)
