"""Where the curation file that a config names lies, and what it decides."""

from __future__ import annotations

from pathlib import Path

from teapot.curationfile import FOLDER, Curation, file_name, read_curation, settled
from teapot.errors import ConfigError, Problem
from teapot.model.config import CurationUse
from teapot.modulefile import ModuleFile


def published_path(module: ModuleFile, version: str) -> Path:
    """Return the path of a published file, which lies beside its module's."""
    return module.path.parent / file_name(module.module.name, version).name


def local_path(module: str, version: str, config: Path | None = None) -> Path:
    """Return the path of a local file: beside the config, else in the working folder.

    Where there is none yet, it is to lie beside the config.
    """
    name = FOLDER / file_name(module, version)
    beside = config.parent / name if config is not None else name
    return name if name.is_file() and not beside.is_file() else beside


def curation_of(use: CurationUse, module: ModuleFile, config: Path) -> Curation:
    """Return the decisions on a module's rows.

    Raises:
        ConfigError: there is no such file, or it is no curation file.
    """
    place, _, version = use.use.partition(":")
    name = module.module.name
    published, local = published_path(module, version), local_path(name, version, config)
    path = published if place == "published" else local
    if not path.is_file():
        raise ConfigError(Problem("", f"no verdicts at {path}; `teapot curate review` makes some"))
    curation = settled(read_curation(path), use=use.use, unreviewed=use.unreviewed)
    _refuse_other_modules(curation)
    return curation


def _refuse_other_modules(curation: Curation) -> None:
    """Refuse moves to another module, which would otherwise be left undone in silence."""
    problems = [
        Problem(
            str(curation.path),
            f"{content.hex()}: a move to the module {decision.module}, but a row belongs to the "
            "module that reads it; drop it here, and put it into a source of that module",
        )
        for content, decision in curation.decisions.items()
        if decision.module is not None
    ]
    if problems:
        raise ConfigError(*problems)
