"""Reads a base from a package folder: `base.yaml` strictly and by its schema, and its template."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from teapot.errors import ConfigError, Problem
from teapot.model.base import Base
from teapot.schemas import schema_faults, shown
from teapot.strictyaml import Path_, parse_yaml

FACTS, TEMPLATE = "base.yaml", "training.jinja"
_NAMED_TOKENS = ("bos", "end_of_turn", "end_of_call", "eos", "pad_token")
_NEVER_PADDING = ("end_of_turn", "end_of_call", "eos", "bos")
_NEEDED_ROLES = ("user", "assistant")
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class BaseFile:
    """A base with its template; `template_name` is how errors call the template."""

    base: Base
    template: str
    template_name: str


def read_base(package: str) -> BaseFile:
    """Return the base that a package holds.

    Raises:
        ConfigError: a file is missing or is not what it must be; names every fault with its line.
    """
    document = parse_yaml(_bytes(package, FACTS), f"{package}/{FACTS}")
    value = document.value
    if not isinstance(value, dict):
        raise ConfigError(document.problem((), f"found {shown(value)}, expected a base"))
    faults = list(schema_faults("base", document)) or list(_semantic_faults(value))
    if faults:
        raise ConfigError(*document.problems(faults))
    name = f"{package}/{TEMPLATE}"
    return BaseFile(Base.from_dict(value), _template(package, name), name)


def _template(package: str, name: str) -> str:
    try:
        text = _bytes(package, TEMPLATE).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(name, f"not UTF-8 at byte {error.start}")) from error
    if not _GENERATION.search(text):
        told = "no {% generation %} block: nothing would be trained; put one around each answer"
        raise ConfigError(Problem(name, told))
    return text


def _bytes(package: str, file: str) -> bytes:
    try:
        return files(package).joinpath(file).read_bytes()
    except ModuleNotFoundError as error:
        raise ConfigError(Problem(package, "no such package")) from error
    except OSError as error:
        told = f"cannot be read: {error.strerror}; is it in the package's package_data?"
        raise ConfigError(Problem(f"{package}/{file}", told)) from error


def _semantic_faults(value: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    tokens: dict[str, int | None] = value["control_tokens"]
    for key in _NAMED_TOKENS:
        if value.get(key) is not None and value[key] not in tokens:
            yield (key,), f"{value[key]!r} is not among the control_tokens"
    for key in _NEVER_PADDING:
        if value.get(key) == value["pad_token"]:
            yield ("pad_token",), f"is the {key} too: padding would be trained, or {key} never"
    for role in _NEEDED_ROLES:
        if role not in value["roles"]:
            yield ("roles",), f"the role {role} is missing"
    yield from _prompt_faults(value, tokens)
    first: dict[int, str] = {}
    for token, identity in tokens.items():
        if identity is not None and first.setdefault(identity, token) != token:
            yield ("control_tokens", token), f"has the id {identity} of {first[identity]}"


def _prompt_faults(value: dict[str, Any], tokens: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    prompt = value.get("default_system_prompt")
    if prompt is None:
        return
    if "system" not in value["roles"]:
        yield ("default_system_prompt",), "the base has no system role to say it in"
    for token in tokens:
        if token in prompt:
            yield ("default_system_prompt",), f"holds the control token {token!r}"
