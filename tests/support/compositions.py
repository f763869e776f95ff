"""Small compositions that hold some of everything, made, signed and signed again at will."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import teapot
from teapot import MixOptions
from teapot.bundle import Bundle
from teapot.canonical import dumps_readable, loads
from teapot.model.manifest import Manifest
from teapot.signing import PrivateKey
from teapot.usecases.compose import Signer
from tests.support.environment import own_key
from tests.support.project import chat_row, chat_rows, write_config, write_module

UNCLOSED = chat_row("b-bad", "What is steeping?", "<think>It is")
DOUBLE = chat_row("c-double", "Why?", "<think>\nBecause.\n</think></think>\n\nSo.")


def write_project(folder: Path, **config: Any) -> Path:
    """Write a mix with a fraction, repeats, a dropped row, equal contents and a repair."""
    write_module(folder, "t/a", chat_rows("a", 12))
    again = chat_row("b-again", "Question 2 of b?")
    write_module(folder, "t/b", [*chat_rows("b", 6), again, UNCLOSED], on_bad_row="drop")
    licensed = [{**row, "license": "Apache-2.0"} for row in chat_rows("c", 4)]
    write_module(folder, "t/c", [*licensed, DOUBLE], repair=["double-close"])
    return write_config(folder, {"t/a": "0.5", "t/b": "2.3", "t/c": 1}, **config)


def signer(key: PrivateKey | None = None) -> Signer:
    """Return what signs with a key, by default the one that is trusted in tests."""
    return lambda manifest: Bundle.sign(manifest, key or own_key()).to_bytes()


def compose(config: Path, *, signed: bool = True, **options: Any) -> teapot.Composition:
    """Compose `mix.jsonl` beside a config."""
    given = MixOptions(**options)
    output = config.parent / "mix.jsonl"
    return teapot.compose(config, given, output=output, signer=signer() if signed else None)


def make(folder: Path, **config: Any) -> teapot.Composition:
    """Write the project into a folder, compose it there, and sign it."""
    return compose(write_project(folder, **config))


def manifest_of(made: teapot.Composition) -> Manifest:
    """Return what a composition's manifest file states."""
    return Manifest.from_dict(loads(made.paths.manifest.read_bytes()))


def sign_again(made: teapot.Composition, key: PrivateKey | None = None) -> None:
    """Sign the manifest as it lies there."""
    made.paths.bundle.write_bytes(signer(key)(made.paths.manifest.read_bytes()))


def restate(made: teapot.Composition, change: Callable[[Any], object]) -> None:
    """Let the trusted key sign a manifest that says something else, written as Teapot writes."""
    value = loads(made.paths.manifest.read_bytes())
    change(value)
    made.paths.manifest.write_bytes(dumps_readable(value))
    sign_again(made)


def die(*arguments: object) -> NoReturn:
    """End this process at once, as one does that ran into bad memory."""
    os._exit(9)
