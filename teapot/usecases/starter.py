"""The use case `init`: a starter project from the installed package, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

from teapot.errors import Problem, UsageError
from teapot.modulefile import shipped_configs

_SHIPPED = "demo.config", "demo-clean.config", "demo-epochs.config"
_CONFIG = """\
# Your mix. `teapot plan my-mix.config` shows what it would be, `teapot compose` writes it.
# `teapot schema config` prints every key; many editors complete from it.

modules:
  my/first: true             # your own module, in modules/my/first.yaml
  demo/consequence: true     # a module that comes with Teapot
  demo/reward-evaluator: {repeat: 0.5}   # half of its records

license:
  allowed: [Apache-2.0]

training:
  seed: 42

output: my-mix.jsonl
"""

_MODULE = """\
name: my/first
version: "0.1"
description: Replace these rows with your own.
license: Apache-2.0
sources:
  - id: my-first
    kind: jsonl              # or parquet, csv, sqlite, huggingface, https, fsspec
    path: data/first.jsonl
reasoning: allow             # require, allow, forbid or strip thoughts
"""

_DATA = """\
{"id": "first-1", "messages": [{"role": "user", "content": "What is a teapot for?"}, \
{"role": "assistant", "content": "For steeping tea, and for pouring it without the leaves."}]}
{"id": "first-2", "messages": [{"role": "user", "content": "Is three minutes too long for green \
tea?"}, {"role": "assistant", "content": "<think>\\nGreen tea turns bitter in hot water; it \
depends on the temperature.\\n</think>\\n\\nAt 75 degrees it is fine. In boiling water it will be \
bitter after two."}]}
"""

_README = """\
# A mix made with Teapot

    teapot plan my-mix.config        # what would go in, and why
    teapot compose my-mix.config     # my-mix.jsonl, its ledger and its manifest
    teapot explain my-mix.jsonl 1    # where line 1 comes from
    teapot check my-mix.jsonl        # every fault of any chat file

`my-mix.config` says which modules enter and how much of each. `modules/my/first.yaml` says where
your rows lie and under which licence. `demo.config` is the mix that comes with Teapot, and
`demo-clean.config` its modules by shares and licence profile, without duplicates and leaks, scanned
for secrets, with a part held out for validation (it needs `pip install 'teapot[near,scan]'`).
`demo-epochs.config` draws anew for each epoch.
"""


def write_starter(folder: Path) -> list[Path]:
    """Write a starter project into a new or empty folder and return its files.

    Raises:
        UsageError: the folder holds something already, or cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(Problem(str(folder), "is not empty; name a new folder"))
    texts = {
        "README.md": _README,
        "my-mix.config": _CONFIG,
        "modules/my/first.yaml": _MODULE,
        "modules/my/data/first.jsonl": _DATA,
    }
    written: list[Path] = []
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
        for name in _SHIPPED:
            written.append(folder / name)
            shutil.copyfile(shipped_configs() / name, folder / name)
    except OSError as error:
        raise UsageError(Problem(str(folder), f"cannot be written: {error.strerror}")) from error
    return written
