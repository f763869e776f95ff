"""The records of one module as a mix reads them, for those who review them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from teapot.checks.builtin import builtin_checks
from teapot.configfile import ConfigFile, load_config
from teapot.interfaces import SourceContext
from teapot.licensing import LicensePolicy
from teapot.model.record import Example, Fault
from teapot.modulefile import ModuleFile, ModulePlaces
from teapot.plugins import load_check
from teapot.records import RecordMaker, RecordOptions
from teapot.resolve import MixOptions
from teapot.sourcemap import SourceMap


@dataclass(frozen=True, slots=True)
class ModuleRecords:
    """A module, and the config it is read for: what that says of thoughts decides contents."""

    module: ModuleFile
    config: ConfigFile | None
    options: MixOptions

    @classmethod
    def find(
        cls, name: str, config: Path | None = None, options: MixOptions | None = None
    ) -> ModuleRecords:
        """Return the module of a name, as a config finds it or else as any would.

        Raises:
            ConfigError: there is no such module, or config or module are wrong.
        """
        options = options or MixOptions()
        file = load_config(config) if config is not None else None
        # As for a config that lies in the working folder.
        around = file.path if file is not None else Path("any.config")
        return cls(ModulePlaces.around(around, options.modules).find(name), file, options)

    def __iter__(self) -> Iterator[Example]:
        """Yield the records that pass every check, source by source.

        Raises:
            SourceError: a source is missing or cannot be reached.
        """
        module = self.module.module
        sources = sorted(module.sources, key=lambda source: source.id)
        path = self.config.path if self.config is not None else None
        given = self.options.sources
        places = SourceMap.gather(path, given, [source.id for source in sources])
        context = SourceContext(
            folder=self.module.path.parent, offline=self.options.offline,
            cache=self.options.cache, progress=self.options.progress,
        )  # fmt: skip
        options = self._record_options()
        for spec in sources:
            maker = RecordMaker(module, spec, options)
            for _, row in places.open(spec, context)[0]:
                made = None if isinstance(row, Fault) else maker.make(row)
                if isinstance(made, Example):
                    yield made

    def _record_options(self) -> RecordOptions:
        module, config = self.module.module, self.config.config if self.config else None
        named = {*module.checks, *(config.checks if config is not None else ())}
        return RecordOptions(
            licenses=(
                LicensePolicy(config.license.allowed, config.license.profile)
                if config is not None
                else LicensePolicy(None)
            ),
            checks=[
                *builtin_checks(module.max_length),
                *(load_check(name)[0] for name in sorted(named)),
            ],
            strip_think=config is not None and config.training.strip_think,
            include_reasoning=config is not None and config.training.include_reasoning,
        )
