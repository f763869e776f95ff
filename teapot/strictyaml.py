"""YAML read strictly: safe types only, each key once, no alias bombs, a size cap, a line for all.

Numbers with a fraction come as `Decimal` with the digits that stand in the file, so that no weight
goes through a float. Dates stay text. All faults of a file are reported at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from teapot.errors import ConfigError, Problem

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 32

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FRACTION = re.compile(
    r"[-+]?((0|[1-9][0-9]{0,17})(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][-+]?[0-9]{1,2})?"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TRUE, _FALSE = ("yes", "true", "on"), ("no", "false", "off")
_KEY_TAGS = ("str", "null", "bool", "int", "float", "timestamp", "value")
_PREFIX = "tag:yaml.org,2002:"

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A parsed file: its value, and the line (from 1) of every key and item by path."""

    file: str
    value: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int:
        """Return the line of a path, or of its nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def line_of(self, problem: Problem) -> int:
        """Return the line of a problem of this file; those of other files come after."""
        file, _, line = problem.where.rpartition(":")
        return int(line) if file == self.file else sys.maxsize

    def problem(self, path: Path_, message: str) -> Problem:
        """Return a problem at a path of this file."""
        return Problem(f"{self.file}:{self.line(path)}", message, dotted(path))

    def problems(self, faults: Iterable[tuple[Path_, str]]) -> list[Problem]:
        """Return the problems that paths and words make, in the order of their lines."""
        ordered = sorted(
            faults, key=lambda fault: (self.line(fault[0]), dotted(fault[0]), fault[1])
        )
        return [self.problem(path, message) for path, message in ordered]


def dotted(path: Path_) -> str:
    """Return a path as people write it: `modules.safety/consequence`, `sources[0].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_yaml(path: Path, shown: str | None = None) -> YamlDocument:
    """Return the document in a file; `shown` is how errors name it.

    Raises:
        ConfigError: there is no such file, or it is not strict YAML; names every fault.
    """
    name = shown or str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(Problem(name, f"cannot be read: {error.strerror}")) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem(name, f"{len(data)} bytes, at most {MAX_BYTES} allowed"))
    return parse_yaml(data, name)


def parse_yaml(data: bytes, name: str) -> YamlDocument:
    """Return the document that `data` holds.

    Raises:
        ConfigError: it is not strict YAML; names every fault that can be found.
    """
    try:
        text = data.decode("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(name, f"not UTF-8 at byte {error.start}")) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        told = ", ".join(part for part in (error.context, error.problem) if part)
        message = f"not YAML: {told}"
        raise ConfigError(Problem(f"{name}:{line}", message)) from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # PyYAML lets escapes beyond Unicode and endless version numbers fail by themselves.
        raise ConfigError(Problem(f"{name}:1", f"not YAML: {error}")) from error
    builder = _Builder(name)
    value = builder.build(node, ()) if node is not None else None
    if builder.problems:
        raise ConfigError(*builder.problems)
    return YamlDocument(name, value, builder.lines)


@dataclass(slots=True)
class _Builder:
    """Turns nodes into values; aliases are walked anew each time, within a budget of nodes."""

    name: str
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def build(self, node: yaml.Node, path: Path_) -> Any:
        """Return the value of one node and remember its line."""
        self.nodes += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            message = (
                f"more than {MAX_NODES} values or {MAX_DEPTH} levels once aliases are expanded"
            )
            raise ConfigError(Problem(f"{self.name}:{node.start_mark.line + 1}", message))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "seq")
            return [self.build(item, (*path, place)) for place, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        self._check_tag(node, path, "map")
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = self._key(key_node, path), key_node.start_mark.line + 1
            if key in made:
                message = f"the key stands twice, first on line {self.lines[(*path, key)]}"
                self.problems.append(Problem(f"{self.name}:{line}", message, dotted((*path, key))))
                continue
            self.lines[(*path, key)] = line
            made[key] = self.build(value_node, (*path, key))
        return made

    def _key(self, node: yaml.Node, path: Path_) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_PREFIX) in _KEY_TAGS:
            return self._text(node, path)
        self._fault(node, path, "a key must be plain text (merge keys and lists are not allowed)")
        return f"?{self.nodes}"

    def _scalar(self, node: yaml.Node, path: Path_) -> Any:
        tag, text = node.tag.removeprefix(_PREFIX), self._text(node, path)
        if tag in ("str", "timestamp"):
            return text
        if tag == "null" and text.lower() in ("", "~", "null"):
            return None
        if tag == "bool" and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        if tag in ("int", "float"):
            return self._number(node, path, text)
        self._fault(node, path, f"the tag {node.tag} is not allowed here, only plain values")
        return None

    def _text(self, node: yaml.Node, path: Path_) -> str:
        text = str(node.value)
        if _SURROGATE.search(text):
            self._fault(node, path, "a lone surrogate, which is not a character")
            return ""
        return text

    def _number(self, node: yaml.Node, path: Path_, text: str) -> int | Decimal | None:
        if _INTEGER.fullmatch(text):
            return int(text)
        if not _FRACTION.fullmatch(text):
            self._fault(node, path, f"found {text}, expected a finite decimal number")
            return None
        return Decimal(text)

    def _check_tag(self, node: yaml.Node, path: Path_, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            self._fault(node, path, f"the tag {node.tag} is not allowed, only plain values")

    def _fault(self, node: yaml.Node, path: Path_, message: str) -> None:
        where = f"{self.name}:{node.start_mark.line + 1}"
        self.problems.append(Problem(where, message, dotted(path)))
