"""The use case `lock`: pins what every source of a mix holds now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from teapot.errors import Problem, UsageError
from teapot.files import write_atomically
from teapot.lock import FILE, Lock, digests_of
from teapot.resolve import MixOptions, resolve
from teapot.usecases.compose import plan
from teapot.version import __version__


def lock(config: Path, options: MixOptions, *, update: Sequence[str] = ()) -> Lock:
    """Read every source of a mix and write `teapot.lock` beside the config.

    Pins of other mixes in the file stay. With `update`, only those modules are pinned anew, and
    the others must still be what the lock says.

    Raises:
        UsageError: `update` names a module that is not in the mix.
        DataError: a module that was not to be updated has changed.
    """
    path = config.parent / FILE
    known = Lock.read(path) if path.exists() else Lock(path, __version__, {})
    modules = resolve(config, options).modules
    present = {module.name for module in modules}
    for name in update:
        if name not in present:
            known_names = ", ".join(sorted(present))
            raise UsageError(Problem(name, f"not a module of this mix, which has {known_names}"))
    pinned = known if update else None
    planned = plan(config, options, lock=pinned, unlocked=update)
    sources, sets = planned.report.sources, digests_of(planned.recipe.decontaminate)
    if update:
        sources = tuple(source for source in sources if source.module in update)
        modules = tuple(module for module in modules if module.name in update)
    anew = Lock.of(path, __version__, sources, modules)
    made = replace(
        known, teapot=__version__, pins=dict(sorted({**known.pins, **anew.pins}.items())),
        verdicts=dict(sorted({**known.verdicts, **anew.verdicts}.items())),
        eval_sets=dict(sorted({**known.eval_sets, **sets}.items())),
    )  # fmt: skip
    write_atomically(path, made.to_bytes())
    return made
