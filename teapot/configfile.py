"""Reads a config: strict YAML, then the schema, then what a schema cannot say, then one value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any

from teapot.amounts import contradictions
from teapot.errors import ConfigError, Problem, UsageError
from teapot.licensing import parse_license
from teapot.model.amount import quantity, share_of_text
from teapot.model.config import ALL_LICENSES, Config, decimal_of, eval_sets_of
from teapot.model.record import Fault
from teapot.schemas import schema_faults, shown
from teapot.sources.local import format_of_name
from teapot.strictyaml import Path_, YamlDocument, read_yaml

SUFFIX = ".config"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config with the file it was read from, for messages that name its lines."""

    path: Path
    config: Config
    document: YamlDocument

    @property
    def name(self) -> str:
        """Return the config's name, which names its output where `output` is silent."""
        return self.path.name.removesuffix(SUFFIX)

    def problem(self, path: Path_, message: str) -> Problem:
        """Return a problem at a place of this config."""
        return self.document.problem(path, message)


def load_config(path: str | Path) -> ConfigFile:
    """Return the config in a file.

    Raises:
        UsageError: there is no such file.
        ConfigError: it does not say what a config must; names every fault with its line.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(Problem(str(path), "is a folder, expected a config"))
    if not path.is_file():
        raise UsageError(Problem(str(path), f"no such config{_hint(path)}"))
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise ConfigError(document.problem((), f"found {shown(document.value)}, expected a config"))
    faults = list(schema_faults("config", document))
    if not faults:
        faults = list(_semantic_faults(document.value))
    if faults:
        raise ConfigError(*document.problems(faults))
    config = Config.from_dict(document.value)
    faults = [(conflict.path, conflict.told) for conflict in contradictions(config.asked_mix())]
    if faults:
        raise ConfigError(*document.problems(faults))
    return ConfigFile(path, config, document)


def _semantic_faults(value: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    modules = value["modules"]
    weights = value.get("training", {}).get("weights", {})
    yield from _weight_faults(modules, weights)
    yield from _amount_faults(modules, value.get("amounts", {}))
    yield from _group_faults(modules, weights, value.get("groups", {}))
    yield from _license_faults(value["license"])
    yield from _epoch_faults(value.get("epochs", {}), value.get("training", {}).get("epochs"))
    rate = value.get("training", {}).get("learning_rate")
    if rate is not None and decimal_of(rate) == 0:
        yield ("training", "learning_rate"), f"found {rate}, expected a positive number"
    yield from _duplicate_faults(value.get("duplicates"), modules, value.get("split", {}))
    held = value.get("split", {}).get("validation")
    if held is not None and not 0 < share_of_text(held) < 1:
        yield ("split", "validation"), f"found {held}, expected more than 0 and less than 100%"
    yield from _eval_faults(("decontaminate",), value.get("decontaminate", ()))
    yield from _eval_faults(("eval", "sets"), value.get("eval", {}).get("sets", ()))
    output = value.get("output")
    file = output.get("file") if isinstance(output, dict) else output
    if file is not None and ("\0" in file or file.endswith("/")):
        yield ("output",), f"found {file!r}, expected the name of a file"


def _duplicate_faults(
    duplicates: Any, modules: dict[str, Any], split: dict[str, Any]
) -> Iterator[tuple[Path_, str]]:
    if not isinstance(duplicates, dict):
        return
    for place, name in enumerate(duplicates.get("prefer", ())):
        if name not in modules:
            yield ("duplicates", "prefer", place), f"{name} is not a module of this config"
    told_by = duplicates.get("match"), split and split.get("relatives", "near")
    if "near" in duplicates and "near" not in told_by:
        told = "nothing is told by how near records are; say match: near, or remove it"
        yield ("duplicates", "near"), told


def _eval_faults(path: Path_, value: Sequence[Any]) -> Iterator[tuple[Path_, str]]:
    seen: set[str] = set()
    for number, one in enumerate(eval_sets_of(value)):
        name, place = one.set, (*path, number)
        if name in seen:
            yield place, f"{name} is named twice"
        seen.add(name)
        if name.startswith(("/", "~", "\\")) or PureWindowsPath(name).drive:
            told = f"found {name}, expected a path relative to the config; where a file lies on"
            yield place, f"{told} this machine is said with --source NAME=PATH"
        elif format_of_name(name) == "sqlite":
            yield place, "a database needs a query: make a module of it, and name that"
        if one.short > one.ngram:
            yield place, f"short is {one.short}, expected at most {one.ngram}, which is ngram"


def _weight_faults(modules: dict[str, Any], weights: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    for name in weights:
        use, path = modules.get(name), ("training", "weights", name)
        if use is None:
            near = difflib.get_close_matches(name, modules, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield path, f"a weight for a module that is not in this config{hint}"
        elif _is_off(use):
            yield path, "a weight for a module that is off; turn it on, or remove the weight"
        elif _amounts_of(use):
            yield path, f"a second amount: modules.{name} says one already"
    for name, use in modules.items():
        amounts = _amounts_of(use)
        if amounts == ["repeat", "weight"]:
            yield ("modules", name), "both repeat and weight: they are one thing, say one"
        elif len(amounts) > 1:
            yield ("modules", name), f"{' and '.join(amounts)}: a module has one amount, say one"


def _amount_faults(modules: dict[str, Any], whole: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield amounts that are written well and yet are none."""
    uses = [(("modules", name), use) for name, use in modules.items() if isinstance(use, dict)]
    for place, use in [*uses, (("amounts",), whole)]:
        for key in ("rows", "tokens"):
            if key in use:
                yield from _quantity_faults((*place, key), use[key])
        if "share" in use and not _is_share(use["share"]):
            yield (*place, "share"), f"found {use['share']}, expected more than 0 and 100% at most"


def _quantity_faults(path: Path_, text: Any) -> Iterator[tuple[Path_, str]]:
    number = quantity(text)
    if number.denominator != 1 or not number:
        yield path, f"found {text}, expected a whole number above 0"


def _is_share(text: str) -> bool:
    return 0 < share_of_text(text) <= 1


def _group_faults(
    modules: dict[str, Any], weights: dict[str, Any], groups: dict[str, Any]
) -> Iterator[tuple[Path_, str]]:
    """Yield what is wrong with groups: every module has one amount, and is in one of them."""
    owners: dict[str, str] = {}
    for name, group in groups.items():
        if "rows" in group:
            yield from _quantity_faults(("groups", name, "rows"), group["rows"])
        for place, module in enumerate(group["modules"]):
            path = ("groups", name, "modules", place)
            use, owner = modules.get(module), owners.setdefault(module, name)
            if use is None:
                near = difflib.get_close_matches(module, modules, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield path, f"{module} is not a module of this config{hint}"
            elif _is_off(use):
                yield path, f"{module} is off; turn it on, or take it out of the group"
            elif owner != name:
                yield path, f"{module} is in groups.{owner} already; a module is in one group"
            else:
                told = [f"modules.{module}.{key}" for key in _amounts_of(use)]
                told += [f"training.weights.{module}"] if module in weights else []
                for where in told:
                    yield path, f"a second amount: {where} says one already; remove one of them"


def _is_off(use: Any) -> bool:
    return use is False or (isinstance(use, dict) and use.get("enabled") is False)


def _amounts_of(use: Any) -> list[str]:
    """Return the keys by which a module's use says how much of it there is."""
    keys = "repeat", "weight", "rows", "share", "tokens"
    return [key for key in keys if key in use] if isinstance(use, dict) else []


def _license_faults(license_: dict[str, Any]) -> Iterator[tuple[Path_, str]]:
    allowed = license_.get("allowed", ())
    if allowed == ALL_LICENSES:
        if "profile" in license_:
            told = "a profile beside allowed: all, which lets in every licence; remove one of them"
            yield ("license", "profile"), told
        return
    if not allowed and "profile" not in license_:
        told = "the key allowed is missing, and so is profile; say one of them: SPDX ids, or"
        yield ("license",), f"{told} `all`, or a profile such as permissive"
    for place, text in enumerate(allowed):
        parsed = parse_license(text)
        if isinstance(parsed, Fault):
            yield ("license", "allowed", place), parsed.words
        elif " OR " in parsed.text or " AND " in parsed.text:
            yield ("license", "allowed", place), f"found {parsed.text}, expected a single licence"


def _epoch_faults(
    asked: dict[str, Any], epochs: int | Decimal | None
) -> Iterator[tuple[Path_, str]]:
    """Yield what is wrong with orders of epochs, given how many epochs are trained."""
    if not asked.get("orders"):
        if "count" in asked:
            told = "nothing is counted where no order is asked for; say orders: true, or remove it"
            yield ("epochs", "count"), told
    elif "count" not in asked and epochs is None:
        told = "nothing says of how many epochs; say epochs.count, or training.epochs"
        yield ("epochs", "orders"), told
    elif epochs is not None and decimal_of(epochs) % 1:
        told = f"found {epochs}, expected a whole number, as each epoch has an order of its own"
        yield ("training", "epochs"), told
    elif epochs is not None and asked.get("count", epochs) < epochs:
        told = f"found {asked['count']}, fewer than training.epochs, {epochs}; raise it"
        yield ("epochs", "count"), told


def _hint(path: Path) -> str:
    near = difflib.get_close_matches(path.name, _configs_beside(path), n=1)
    if near:
        return f"; did you mean {path.parent / near[0]}?"
    return "; `teapot init DIR` writes one to start from"


def _configs_beside(path: Path) -> list[str]:
    folder = path.parent
    return [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
