"""Makes `composition/`, the signed composition that attacks are made on; run by hand, rarely.

`python -m tests.vectors.make_composition` composes 14 rows of three modules (one is dropped, one
module twice, one to a half) and signs with the tests' key 1, which the trust file beside it names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import teapot
from teapot.allowed_signers import NAMESPACE, TrustedKey
from teapot.usecases.signing import KeySigner
from tests.support.environment import environment, own_key
from tests.support.project import chat_row, chat_rows, write_config, write_module

HERE = Path(__file__).parent / "composition"


def main() -> None:
    """Write the composition."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ.update(environment(work))
        unclosed = chat_row("green-5", "What is steeping?", "<think>It is")
        write_module(work, "tea/black", chat_rows("black", 5))
        green = [*chat_rows("green", 4), unclosed]
        write_module(work, "tea/green", green, on_bad_row="drop")
        write_module(work, "tea/white", chat_rows("white", 4))
        config = write_config(work, {"tea/black": 1, "tea/green": 2, "tea/white": "0.5"})
        signer = KeySigner(own_key(), print)
        made = teapot.compose(config, output=work / "tea.jsonl", signer=signer)
        HERE.mkdir(exist_ok=True)
        for path in (made.paths.data, made.paths.ledger, made.paths.manifest, made.paths.bundle):
            shutil.copy(path, HERE)
    entry = TrustedKey(
        principals="alice@example.com", key=own_key().public, where="", namespaces=NAMESPACE
    )
    (HERE / "teapot.allowed_signers").write_text(entry.to_line() + "\n")


if __name__ == "__main__":
    main()
