"""`teapot.lock`: every source of a mix pinned to revision, digest and rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from teapot.canonical import CanonicalError, dumps_readable, loads
from teapot.errors import DataError, Problem, UsageError
from teapot.model.recipe import RecipeDecontamination
from teapot.model.report import SourceReport
from teapot.resolve import ModuleInMix, ResolvedMix

FILE = "teapot.lock"
FORMAT = "teapot/lock/v1"
_KEYS = ("digest_of", "kind", "revision", "rows", "sha256", "uri")


@dataclass(frozen=True, slots=True)
class Lock:
    """The pins of a lock file, by module and source id; `verdicts` are digests by module and use.

    `eval_sets` are digests by set and source. A lock without these is what it was before it could
    pin them.
    """

    path: Path
    teapot: str
    pins: Mapping[str, Mapping[str, Any]]
    verdicts: Mapping[str, str] = field(default_factory=dict)
    eval_sets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Return the lock in a file.

        Raises:
            UsageError: there is none, or it is not a lock of this format.
        """
        try:
            value = loads(path.read_bytes())
        except OSError as error:
            message = "no lock here; `teapot lock CONFIG` writes one"
            raise UsageError(Problem(str(path), message)) from error
        except CanonicalError as error:
            raise UsageError(Problem(str(path), f"is not a lock: {error}")) from error
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise UsageError(Problem(str(path), f"is not a lock of the format {FORMAT}"))
        pins = value.get("sources")
        if not isinstance(pins, dict) or not all(map(_is_pin, pins.values())):
            raise UsageError(Problem(str(path), "is not a lock: sources are not pins by name"))
        digests = [value.get(key, {}) for key in ("verdicts", "eval_sets")]
        for key, found in zip(("verdicts", "eval_sets"), digests, strict=True):
            if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
                told = f"is not a lock: {key} are not digests by name"
                raise UsageError(Problem(str(path), told))
        return cls(path, str(value.get("teapot")), pins, *digests)

    @classmethod
    def of(
        cls, path: Path, teapot: str, sources: Sequence[SourceReport],
        modules: Sequence[ModuleInMix] = (),
    ) -> Lock:  # fmt: skip
        """Return the lock that pins sources as they were just read, and the modules' verdicts."""
        pins = {_name(source): {key: getattr(source, key) for key in _KEYS} for source in sources}
        return cls(path, teapot, pins, _verdicts_of(modules))

    def to_bytes(self) -> bytes:
        """Return the bytes of the lock file."""
        value = {"format": FORMAT, "teapot": self.teapot, "sources": dict(self.pins)}
        if self.verdicts:
            value["verdicts"] = dict(self.verdicts)
        if self.eval_sets:
            value["eval_sets"] = dict(self.eval_sets)
        return dumps_readable(value)

    def pin(self, mix: ResolvedMix, *, but: Collection[str] = ()) -> ResolvedMix:
        """Return the mix with every source at its locked revision, `but` those of some modules.

        Raises:
            DataError: the mix has a source that the lock does not name, or other verdicts or
                evaluation sets.
        """
        judged = [module for module in mix.modules if module.name not in but]
        self._refuse_others("verdicts on", _verdicts_of(judged), self.verdicts)
        self._refuse_others("evaluation set", digests_of(mix.decontamination), self.eval_sets)
        names = [
            f"{module.name} {source.id}"
            for module in mix.modules
            for source in module.sources
            if module.name not in but
        ]
        missing = [name for name in names if name not in self.pins]
        if missing:
            message = f"does not pin {', '.join(missing)}; run `teapot lock` again"
            raise DataError(Problem(str(self.path), message))
        return replace(mix, pins={name: self.pins[name].get("revision") for name in names})

    def _refuse_others(self, what: str, found: Mapping[str, str], pins: Mapping[str, str]) -> None:
        problems = []
        for name, sha256 in found.items():
            if pins.get(name) != sha256:
                told = f"locked is {pins[name]}" if name in pins else "the lock does not pin them"
                message = f"{what} {name}: sha256 is {sha256}, {told}; run `teapot lock` again"
                problems.append(Problem(str(self.path), message))
        if problems:
            raise DataError(*problems)

    def refuse_other_version(self, version: str) -> None:
        """Refuse another version of Teapot than the one that locked: it may make other bytes.

        Raises:
            DataError: this is another version.
        """
        if self.teapot != version:
            told = (
                f"was made by Teapot {self.teapot}, this is {version}; install that version, or "
                "run `teapot lock` again"
            )
            raise DataError(Problem(str(self.path), told))

    def compare(self, sources: Sequence[SourceReport]) -> None:
        """Refuse sources that are not what the lock pins.

        Raises:
            DataError: one differs; names every difference.
        """
        problems = []
        for source in sources:
            pin = self.pins.get(_name(source))
            if pin is None:
                problems.append(Problem(str(self.path), f"does not pin {_name(source)}"))
                continue
            for key in ("sha256", "rows", "uri"):
                if pin.get(key) != getattr(source, key):
                    found = f"{key} is {getattr(source, key)}, locked is {pin.get(key)}"
                    problems.append(Problem(f"{self.path}", f"{_name(source)}: {found}"))
        if problems:
            raise DataError(*problems)


def digests_of(sets: RecipeDecontamination | None) -> dict[str, str]:
    """Return the digest of each source of evaluation sets: `eval/mmlu mmlu-test`, a file alone."""
    return {
        one.name if one.name == source.id else f"{one.name} {source.id}": source.sha256
        for one in (sets.sets if sets is not None else ())
        for source in one.sources
    }


def _verdicts_of(modules: Sequence[ModuleInMix]) -> dict[str, str]:
    """Return the digest of each file of verdicts, by module and use: `tea/green published:v1`."""
    curations = {module.name: module.curation for module in modules}
    return {f"{name} {one.use}": one.sha256 for name, one in curations.items() if one is not None}


def _name(source: SourceReport) -> str:
    return f"{source.module} {source.id}"


def _is_pin(value: object) -> bool:
    return isinstance(value, dict) and value.keys() >= {"rows", "sha256", "uri"}
