"""The exporter `merged`: the base with the adapter in its weights, in bf16."""

from __future__ import annotations

from teapot.errors import ConfigError, MissingExtraError
from teapot.interfaces import Progress, silent
from teapot.model.exportjob import ExportJob, ExportOutcome


class MergedExporter:
    """Fulfils `teapot.interfaces.Exporter`; loads torch when it is asked to export."""

    def export(self, job: ExportJob, progress: Progress = silent) -> ExportOutcome:
        """Write the merged model.

        Raises:
            ConfigError: all weights were trained, so there is nothing to merge.
            MissingExtraError: torch or peft is not installed.
            TeapotError: as `teapot_trainers.merging.merge` does.
        """
        if job.plan.hyperparameters.method == "full":
            told = "all weights of this model were trained: it is whole, and has no adapter"
            raise ConfigError(told)
        try:
            from teapot_trainers.merging import merge
        except ImportError as error:
            raise MissingExtraError("merging", "train") from error
        return merge(job, progress)
