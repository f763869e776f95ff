"""What a plug-in implements. The name of its entry point is the word that stands in the YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, runtime_checkable

from teapot.errors import DataError
from teapot.model.record import Fault, Message, Record, Row

if TYPE_CHECKING:  # values of training, which nobody needs to read a source
    from teapot.model.base import Base
    from teapot.model.encoded import Conversation, Encoded, EncoderFacts
    from teapot.model.examined import Examined, TokenFacts
    from teapot.model.exportjob import ExportJob, ExportOutcome
    from teapot.model.fitjob import FitJob
    from teapot.model.masked import MaskedPiece
    from teapot.model.module import SourceSpec
    from teapot.model.rendered import Rendered
    from teapot.model.trainoutcome import TrainOutcome

DigestOf = Literal["file", "rows"]
Progress = Callable[[str, int, int | None], None]
RowWatcher = Callable[[str, str, int, Row], None]


def silent(what: str, done: int, total: int | None) -> None:
    """Report no progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceIdentity:
    """What was read: declared uri, resolved revision, and the digest of the very bytes parsed.

    `bytes` is the size of what was hashed: the file as it lies (compressed or not), or the rows as
    canonical JSON lines where there is no file.
    """

    uri: str
    sha256: str
    bytes: int
    rows: int
    revision: str | None = None
    digest_of: DigestOf = "file"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceContext:
    """What a source may lean on: the module file's folder, the cache, the network or not."""

    folder: Path
    offline: bool = False
    cache: Path | None = None
    progress: Progress = field(default=silent)


class SourceReader(Protocol):
    """The rows of one source, once, in order."""

    def __iter__(self) -> Iterator[tuple[int, Row | Fault]]:
        """Yield each row with its number from 1, or the fault that kept it from being parsed."""
        ...

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the rows are exhausted."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of JSON Lines, each whole; or, with a `fault`, one row that could not be read.

    `offset` is where the lines begin in a file that can be read again, None where there is none.
    `number` counts blocks from 0; `prefix_sha256` is of the source's bytes up to here at least.
    """

    data: bytes | memoryview
    offset: int | None = None
    fault: Fault | None = None
    number: int = 0
    prefix_sha256: bytes | None = None

    @property
    def again(self) -> bool:
        """Return whether the lines can be read again."""
        return self.offset is not None


@runtime_checkable
class BlockReader(Protocol):
    """A reader of JSON Lines that gives them in blocks too, for whoever takes many rows at once."""

    def blocks(self) -> Iterator[Block]:
        """Yield all rows, in order, some megabytes at a time."""
        ...

    def again(self) -> BinaryIO | None:
        """Return the file that blocks come from, opened to read them again, if they can be."""
        ...

    def identity(self) -> SourceIdentity:
        """Return what was read; valid once the blocks are exhausted."""
        ...


class Source(Protocol):
    """Entry-point group `teapot.sources`: opens one kind of place that rows lie in."""

    def open(self, spec: SourceSpec, context: SourceContext) -> SourceReader:
        """Return a reader of the source's rows.

        Raises:
            SourceError: the source is missing or cannot be reached.
            DataError: what is there is not what was declared.
        """
        ...


class Check(Protocol):
    """Entry-point group `teapot.checks`: says what is wrong with a record."""

    name: str

    def run(self, record: Record) -> Sequence[Fault]:
        """Return every fault found; an empty sequence lets the record pass."""
        ...


class RowEncoder(Protocol):
    """Turns conversations into ids and labels, with one tokenizer and one system prompt."""

    @property
    def facts(self) -> EncoderFacts:
        """Return what decides the ids and labels, beside the rows."""
        ...

    def encode(self, rows: Sequence[Conversation]) -> list[Encoded | DataError]:
        """Return each conversation as ids and labels, or why it cannot be trained."""
        ...


class RowExaminer(Protocol):
    """Shows conversations as they would be trained, with one model's tokenizer and template."""

    @property
    def facts(self) -> EncoderFacts:
        """Return what decides the ids and labels, beside the rows."""
        ...

    @property
    def own_template_sha256(self) -> str:
        """Return the SHA-256 of the tokenizer's own chat template as 64 hex digits."""
        ...

    @property
    def tokens(self) -> TokenFacts:
        """Return the ids that rules ask for."""
        ...

    def examine(self, rows: Sequence[Conversation]) -> list[Examined | DataError]:
        """Return each conversation examined, or why the base cannot write or encode it."""
        ...


class Trainer(Protocol):
    """Entry-point group `teapot.trainers`: knows one base, and how it writes a conversation."""

    @property
    def base(self) -> Base:
        """Return the facts of the base."""
        ...

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None = None,
        system_prompt: str | None = None,
    ) -> Rendered:
        """Return what the model sees of a conversation, and what it is trained on.

        A conversation without a system turn gets `system_prompt`, else the base's own.

        Raises:
            DataError: the base cannot write this conversation; names every turn at fault.
            MissingExtraError: what renders is not installed.
        """
        ...

    def mask(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None = None,
        system_prompt: str | None = None,
        tokenizer: Path | None = None,
    ) -> tuple[MaskedPiece, ...]:
        """Return a conversation in pieces that say what is trained.

        They are the tokens of `tokenizer`, a model's folder or `tokenizer.json`; without one they
        are the base's control tokens and the text between them.

        Raises:
            DataError: the base cannot write this conversation, or it cannot be trained.
            UsageError, ConfigError: the tokenizer cannot be read, or is not one of this base.
            MissingExtraError: what renders or tokenises is not installed.
        """
        ...

    def encoder(self, tokenizer: Path, system_prompt: str | None = None) -> RowEncoder:
        """Return what turns conversations into ids and labels with a model's tokenizer.

        Raises:
            UsageError, ConfigError: the tokenizer cannot be read, or is not one of this base.
            MissingExtraError: what renders or tokenises is not installed.
        """
        ...

    def examiner(self, folder: Path, system_prompt: str | None = None) -> RowExaminer:
        """Return what examines rows with the tokenizer and the chat template in a model's folder.

        Raises:
            UsageError, ConfigError: the tokenizer cannot be read, is not one of this base, or has
                no chat template.
            MissingExtraError: what renders or tokenises is not installed.
        """
        ...

    def fit(self, job: FitJob, progress: Progress = silent) -> TrainOutcome:
        """Train as a job says, and leave weights, tokenizer and metrics in its model folder.

        Raises:
            DigestError: the encoded rows are not those that were made.
            UsageError: there is no GPU, and the CPU was not asked for.
            ConfigError, PluginError: the model cannot be loaded, adapted or trained exactly.
            KeyboardInterrupt: it was interrupted, after a checkpoint was saved.
            MissingExtraError: what trains is not installed.
        """
        ...


class Exporter(Protocol):
    """Entry-point group `teapot.exporters`: writes a trained model in another form."""

    def export(self, job: ExportJob, progress: Progress = silent) -> ExportOutcome:
        """Write weights, whose headers name their origin, and configuration into `job.output`.

        Raises:
            ConfigError, DataError: the model has no such form, or the result is not the model.
            MissingExtraError: what exports is not installed.
        """
        ...
