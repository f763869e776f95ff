"""From what a user names to what a plan is made of: composition, config, base, model, prompt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from teapot.canonical import dumps_readable
from teapot.configfile import SUFFIX, ConfigFile, load_config
from teapot.errors import ConfigError, OutputError, Problem, TeapotError, UsageError
from teapot.files import OutputPaths, write_atomically
from teapot.interfaces import Progress, Trainer, silent
from teapot.licensing import allowed_by
from teapot.model.amount import AskedMix
from teapot.model.config import Config
from teapot.model.recipe import Recipe
from teapot.model.report import decimal_text
from teapot.model.trainplan import Hyperparameters, TrainPlan
from teapot.modelfiles import ModelFiles, ModelName, open_model
from teapot.usecases.targets import compositions_of, refuse_held_out
from teapot.usecases.trainorders import with_epochs
from teapot.usecases.verify import Verified, VerifyOptions, verified

PLAN, SYSTEM_PROMPT = "plan.json", "system-prompt.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """What is trained and with what: `model` is a folder, `OWNER/NAME` or `OWNER/NAME@REVISION`.

    A row that the base cannot write, or that is longer than the plan's `max_length`, is a fault, or
    left out and listed where `drops_bad_rows`. It is never cut. Where the composition has a
    validation file, the loss on it is measured after each epoch, unless `evaluates` is off.
    """

    model: str | None = None
    evaluates: bool = True
    drops_bad_rows: bool = False
    offline: bool = False
    verify: VerifyOptions = field(default_factory=VerifyOptions)
    progress: Progress = silent


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A verified composition with everything that a plan is made of."""

    composition: Verified
    file: ConfigFile | None
    hyperparameters: Hyperparameters
    model: ModelFiles
    notes: tuple[str, ...]

    @property
    def config(self) -> Config | None:
        """Return the config that the target was, if it was one."""
        return None if self.file is None else self.file.config

    @property
    def vram_gb(self) -> Decimal | None:
        """Return the memory of each GPU in GB, where a config tells it."""
        return None if self.config is None else self.config.hardware.vram_gb

    @cached_property
    def system_prompt(self) -> str | None:
        """Return the config's prompt for rows without a system turn; None leaves it to the base."""
        return None if self.file is None else system_prompt_of(self.file)


def prepare_training(target: Path | None, trainer: Trainer, options: TrainOptions) -> Prepared:
    """Return what a plan is made of; the composition is verified first.

    Raises:
        UsageError: the target names no composition, or the project has several.
        DataError, UnsignedError, UntrustedError: the composition does not verify.
        SourceError: the model cannot be fetched.
    """
    file = load_config(target) if target is not None and target.name.endswith(SUFFIX) else None
    manifest = _only_composition(target) if file is None else _composed(file)
    hyperparameters = _hyperparameters(file)
    composition = verified(manifest, options.verify)
    hyperparameters = with_epochs(hyperparameters, file, composition.manifest)
    base = trainer.base
    notes = []
    named = file.config.base.model if file is not None else None
    if named is not None and named != base.model:
        notes.append(f"the config names {named}; --base {base.name} trains another model")
    is_own = options.model is None
    model = open_model(
        ModelName.of_base(base) if is_own else ModelName.of(str(options.model), base),
        offline=options.offline,
    )
    return Prepared(
        composition=composition, file=file, hyperparameters=hyperparameters, model=model,
        notes=tuple(notes),
    )  # fmt: skip


def evaluates(prepared: Prepared, options: TrainOptions) -> bool:
    """Tell whether the loss on held-out rows is to be measured."""
    return options.evaluates and prepared.composition.manifest.validation is not None


def system_prompt_of(file: ConfigFile) -> str | None:
    """Return a config's system prompt: its text, or that of the file beside the config it names.

    Raises:
        ConfigError: the file cannot be read as UTF-8.
    """
    given = file.config.training.system_prompt
    if given is None or "\n" in given or not given.strip():
        return given
    path = file.path.parent / given
    try:
        if not path.is_file():
            return given
        return path.read_bytes().decode("utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            told = f"{path} is not UTF-8 at byte {error.start}"
            raise ConfigError(file.problem(("training", "system_prompt"), told)) from error
        return given  # a text may be too long, or too odd, for the name of a file


def config_differences(config: Config, recipe: Recipe) -> list[str]:
    """Return where a composition was made by other settings than a config has now."""
    allowed = allowed_by(config.license)
    licenses = "all" if allowed is None else allowed
    pairs: dict[str, tuple[object, object]] = {
        "training.seed": (config.training.seed, recipe.seed),
        "license.allowed": (licenses, recipe.licenses),
        "duplicates": (config.duplicates.policy, recipe.duplicates),
        "duplicates.prefer": (config.duplicates.prefer, recipe.prefer),
        "training.strip_think": (config.training.strip_think, recipe.strip_think),
        "training.include_reasoning": (
            config.training.include_reasoning, recipe.include_reasoning,
        ),
    }  # fmt: skip
    pairs["epochs.orders"] = _orders(config.epoch_count), _orders(recipe.epoch_count)
    # A module may name checks of its own, so only what the config asks for can be missing.
    checks = tuple(sorted(set(config.checks)))
    pairs["checks"] = (
        checks,
        tuple(name for name in checks if all(name in module.checks for module in recipe.modules)),
    )
    pairs |= _amount_pairs(config.asked_mix(), recipe.asked())
    return [
        f"{key}: the config says {_shown(ours)}, the composition was made with {_shown(theirs)}"
        for key, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def _orders(epochs: int | None) -> str:
    return "none" if epochs is None else f"{epochs} epochs"


def _amount_pairs(ours: AskedMix, theirs: AskedMix) -> dict[str, tuple[object, object]]:
    """Return what is asked of each module, by the config and by the recipe; off is weight 0."""
    pairs: dict[str, tuple[object, object]] = {}
    for name in sorted(ours.modules.keys() | theirs.modules.keys()):
        weights = [
            side.modules[name].weight if name in side.modules else Decimal(0)
            for side in (ours, theirs)
        ]
        if None in weights:
            pairs[f"amount of {name}"] = _amount(ours, name), _amount(theirs, name)
        else:
            pairs[f"weight of {name}"] = weights[0], weights[1]
        pairs[f"max_repeat of {name}"] = _cap(ours, name), _cap(theirs, name)
    pairs["amounts"] = _whole(ours), _whole(theirs)
    for name in sorted(ours.groups.keys() | theirs.groups.keys()):
        pairs[f"groups.{name}"] = _group(ours, name), _group(theirs, name)
    return pairs


def _amount(asked: AskedMix, name: str) -> str:
    if name not in asked.modules:
        return "off"
    return asked.told(name) or f"weight {asked.modules[name].weight}"


def _cap(asked: AskedMix, name: str) -> Decimal | None:
    return asked.modules[name].max_repeat if name in asked.modules else None


def _whole(asked: AskedMix) -> str:
    if not asked.has_shares:
        return "no shares"
    given = asked.whole.rows if asked.whole.share_of == "rows" else asked.whole.tokens
    return (
        f"shares of {asked.whole.share_of if given is None else f'{given} {asked.whole.share_of}'}"
    )


def _group(asked: AskedMix, name: str) -> tuple[str, ...]:
    group = asked.groups.get(name)
    if group is None:
        return ()
    rows = "" if group.rows is None else f", {group.rows} rows"
    return (*group.modules, f"temperature {decimal_text(group.temperature)}{rows}")


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _hyperparameters(file: ConfigFile | None) -> Hyperparameters:
    try:
        return Hyperparameters.of(None if file is None else file.config)
    except ConfigError as error:
        assert file is not None  # noqa: S101 - the defaults are sound
        told = [replace(problem, where=str(file.path)) for problem in error.problems]
        raise ConfigError(*told) from error


def _composed(file: ConfigFile) -> Path:
    """Return the manifest of the data file that a config names.

    Raises:
        UsageError: it was not composed here.
    """
    paths = OutputPaths(Path(file.config.output.file or f"{file.name}.jsonl"))
    if not paths.manifest.exists():
        told = f"its composition is not here: no {paths.manifest}; run `teapot compose {file.path}`"
        raise UsageError(Problem(str(file.path), told))
    return paths.manifest


def _only_composition(target: Path | None) -> Path:
    """Return the manifest that a target names; none given means the only one of the project."""
    found = compositions_of([] if target is None else [target])
    if len(found) > 1:
        names = ", ".join(str(paths.manifest) for paths in found)
        raise UsageError(f"there are {len(found)} compositions, name one: {names}")
    if target is not None:
        refuse_held_out(target, found[0])
    return found[0].manifest


def write_plan(plan: TrainPlan, folder: Path) -> None:
    """Write `plan.json` and, where rows get one, `system-prompt.txt` into a model folder.

    Raises:
        OutputError: the folder holds another plan, or cannot be written.
    """
    path, data = folder / PLAN, dumps_readable(plan.to_dict())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != data:
            raise OutputError(Problem(str(path), "is another plan; choose another folder"))
        if plan.system_prompt is not None:
            write_atomically(folder / SYSTEM_PROMPT, plan.system_prompt.encode())
        write_atomically(path, data)
    except OSError as error:
        told = f"cannot be written: {error.strerror or error}"
        raise OutputError(Problem(str(folder), told)) from error


def explained(error: TeapotError) -> str:
    """Return an error's problems in one line, for a row of a table."""
    return "; ".join(str(problem) for problem in error.problems)
