"""The JSON Schemas of Teapot's formats, and their faults in words that a user understands."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from teapot.errors import UsageError
from teapot.strictyaml import Path_, YamlDocument

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

SCHEMAS = (
    "base", "config", "curation", "diff", "export", "ledger", "manifest", "module", "proof",
    "record", "train",
)  # fmt: skip
_KINDS = {
    "object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number",
    "number": "a number", "boolean": "true or false", "null": "nothing",
}  # fmt: skip


def schema_text(name: str) -> str:
    """Return the text of one schema.

    Raises:
        UsageError: there is no schema of this name.
    """
    if name not in SCHEMAS:
        raise UsageError(f"no schema {name!r}, expected one of {', '.join(SCHEMAS)}")
    return files("teapot_schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def schema_faults(name: str, document: YamlDocument) -> Iterator[tuple[Path_, str]]:
    """Yield the path and the words of every fault that a schema finds in a document."""
    errors = _validator(name).iter_errors(document.value)
    yield from dict.fromkeys(fault for error in errors for fault in _in_words(error, ()))


@lru_cache(maxsize=8)
def _validator(name: str) -> Validator:
    from jsonschema import Draft202012Validator, validators

    extend: Callable[..., type[Validator]] = validators.extend
    strict = extend(Draft202012Validator, {"pattern": _pattern_faults})
    return strict(json.loads(schema_text(name), parse_float=Decimal))


def _pattern_faults(
    _: Validator, pattern: str, instance: Any, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Yield where text does not match; `$` is its very end, as in ECMA-262, not before a LF."""
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(_to_the_end(pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _to_the_end(pattern: str) -> str:
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern


def _in_words(error: ValidationError, above: Path_) -> Iterator[tuple[Path_, str]]:
    path = (*above, *error.relative_path)
    found, expected = error.instance, error.validator_value
    keyword = str(error.validator)
    properties: dict[str, Any] = _properties(error)
    if keyword == "additionalProperties" and isinstance(found, Mapping):
        known = list(properties)
        for key in sorted(found.keys() - set(known)):
            yield (*path, key), f"no such key{_near(key, known)}"
    elif keyword == "required" and isinstance(found, Mapping):
        for key in (key for key in _listed(expected) if key not in found):
            yield path, f"the key {key} is missing{_described(properties, key)}"
    elif keyword == "anyOf":
        yield from _alternatives(error, path)
    elif error.parent is not None and error.parent.validator == "propertyNames":
        yield path, f"{found!r} is not a module name such as safety/consequence"
    else:
        yield path, _sentence(error)


def _alternatives(error: ValidationError, path: Path_) -> Iterator[tuple[Path_, str]]:
    """Report the branch of the found type, or all types where none fits."""
    branches: dict[int, list[ValidationError]] = {}
    for part in error.context or ():
        branches.setdefault(int(part.relative_schema_path[0]), []).append(part)
    unfit = ["type", "const"]
    if isinstance(error.instance, Mapping | list):
        unfit.append("enum")  # whose values are all scalars
    fitting = [
        parts for parts in branches.values()
        if not any(part.validator in unfit and not part.relative_path for part in parts)
    ]  # fmt: skip
    if fitting:
        for part in fitting[0]:
            yield from _in_words(part, path)
        return
    wanted = dict.fromkeys(_expected(part) for parts in branches.values() for part in parts)
    yield path, f"found {shown(error.instance)}, expected {' or '.join(wanted)}"


def _sentence(error: ValidationError) -> str:
    keyword = str(error.validator)
    if keyword == "minItems":
        return "the list is empty, expected at least one item"
    if keyword == "minLength":
        return "it is empty, expected text"
    if keyword == "minProperties":
        return "it is empty, expected at least one"
    if keyword == "uniqueItems":
        return "an item stands twice"
    number_for_text = keyword == "type" and isinstance(error.instance, int | Decimal)
    hint = " (put it in quotes)" if number_for_text and error.validator_value == "string" else ""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if hint and not re.search(schema.get("pattern", ""), str(error.instance)):
        return f"found {shown(error.instance)}, expected {schema.get('title', 'text')}"
    return f"found {shown(error.instance)}, expected {_expected(error)}{hint}"


def _expected(error: ValidationError) -> str:
    keyword, expected = str(error.validator), error.validator_value
    words = {
        "minimum": f"a number not below {expected}",
        "maximum": f"a number not above {expected}",
        "exclusiveMinimum": f"a number above {expected}",
        "const": str(expected),
    }
    if keyword == "type":
        kinds = expected if isinstance(expected, list) else [expected]
        return " or ".join(_KINDS[str(kind)] for kind in kinds)
    if keyword == "enum":
        return "one of " + ", ".join(map(str, _listed(expected)))
    if keyword == "pattern" and isinstance(error.schema, Mapping):
        return str(error.schema.get("title", f"text like {expected}"))
    return words.get(keyword, f"{keyword} {expected}")


def shown(value: Any) -> str:
    """Return a value as errors show it, with its kind, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _near(key: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if known else ""


def _properties(error: ValidationError) -> dict[str, Any]:
    schema = error.schema
    return dict(schema.get("properties", {})) if isinstance(schema, Mapping) else {}


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else []


def _described(properties: Mapping[str, Any], key: str) -> str:
    text = properties.get(key, {}).get("description", "")
    return f": {text}" if text else ""
