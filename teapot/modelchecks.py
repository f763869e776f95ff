"""The checks of a model folder's files against a train statement that is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

from teapot.datafile import open_beside
from teapot.digest import sha256_hex
from teapot.errors import DataError, Problem, counted
from teapot.model.exportstatement import ExportStatement
from teapot.model.manifest import Manifest
from teapot.model.trainstatement import CARD, PLAN, TrainStatement
from teapot.model.verification import CheckResult, Status
from teapot.modelcard import card_block, card_faults
from teapot.safetensorsheader import SafetensorsError, read_metadata

MAX_SMALL_BYTES = 64 << 20
TOKENIZER, TEMPLATE = "tokenizer.json", "chat_template.jinja"
_WEIGHTS = ".safetensors"


def header_metadata(manifest_sha256: str, data_sha256: str, plan_sha256: str) -> dict[str, str]:
    """Return what the header of each weight file must say of where the weights come from."""
    return {
        "teapot.manifest_sha256": manifest_sha256,
        "teapot.data_sha256": data_sha256,
        "teapot.plan_sha256": plan_sha256,
    }


def read_small(path: Path) -> bytes:
    """Return the bytes of a small file of a model folder.

    Raises:
        DataError: it is missing, no regular file, too large, or leads out of its folder.
    """
    with open_beside(path) as file:
        data = file.read(MAX_SMALL_BYTES + 1)
    if len(data) > MAX_SMALL_BYTES:
        raise DataError(Problem(str(path), f"is over {MAX_SMALL_BYTES:,} bytes"))
    return data


def check_model_files(
    folder: Path, statement: TrainStatement, exported: ExportStatement | None, *, is_signed: bool
) -> list[CheckResult]:
    """Return whether the files of a model folder are what its statements state of them.

    The weights are those of the export statement where there is one, else those that were trained.
    """
    composed = statement.composed
    weights = (
        check_training_files(folder, statement)
        if exported is None
        else check_exported_files(folder, statement, exported)
    )
    return [
        *weights,
        _check_digest("tokenizer", folder / TOKENIZER, statement.start.tokenizer_sha256),
        _check_digest("chat template", folder / TEMPLATE, statement.start.own_template_sha256),
        _check_card(folder / CARD, card_block(statement, exported, is_signed=is_signed)),
        _check_digest("manifest copy", folder / composed.manifest, composed.manifest_sha256),
    ]


def check_training_files(folder: Path, statement: TrainStatement) -> list[CheckResult]:
    """Return whether weights and plan, which training writes, are what a statement says of them."""
    return [
        *_check_weights(folder, "", statement.weights, statement),
        _check_digest("plan", folder / PLAN, statement.run.plan_sha256),
    ]


def check_exported_files(
    folder: Path, statement: TrainStatement, exported: ExportStatement
) -> list[CheckResult]:
    """Return whether exported weights are what was stated of them, and made of what was trained."""
    start = statement.start
    made_of = {
        "train statement": statement.sha256(), "trained weights": _files(statement.weights),
        "base": f"{start.model}, {start.revision}, {start.config_sha256}, {_files(start.weights)}",
    }  # fmt: skip
    base = f"{exported.model}, {exported.revision}, {exported.config_sha256}"
    stated = {
        "train statement": exported.train_statement_sha256,
        "trained weights": _files(exported.adapter),
        "base": f"{base}, {_files(exported.base_weights)}",
    }
    origin = [
        CheckResult.compare(
            f"export {name}", f"the {name} that the export statement names with the train "
            "statement's", expected=made_of[name], found=stated[name],
        )
        for name in made_of
    ]  # fmt: skip
    return [
        *origin,
        *_check_weights(folder, "export ", exported.weights, statement),
        _check_digest("plan", folder / PLAN, statement.run.plan_sha256),
    ]


def origin_of(statement: TrainStatement) -> dict[str, str]:
    """Return what the header of each weight file must say, by the train statement."""
    composed = statement.composed
    return header_metadata(
        composed.manifest_sha256, composed.data_sha256, statement.run.plan_sha256
    )


def _files(digests: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {digest}" for name, digest in sorted(digests.items()))


def _check_weights(
    folder: Path, of: str, weights: Mapping[str, str], statement: TrainStatement
) -> Iterator[CheckResult]:
    """Yield whether the weight files are those stated, no others, and name their origin."""
    for name, digest in weights.items():
        yield _check_weight_file(f"{of}weights", folder / name, digest)
    yield _no_other_weights(f"{of}weight files", folder, weights)
    for name in weights:
        yield _check_header(f"{of}header", folder / name, origin_of(statement))


def _check_weight_file(check: str, path: Path, digest: str) -> CheckResult:
    def found() -> str:
        with open_beside(path) as file:
            return file_digest(file, "sha256").hexdigest()

    return _compared(check, f"SHA-256 of {path.name} with the statement's", digest, found)


def _check_header(check: str, path: Path, expected: dict[str, str]) -> CheckResult:
    """Return whether the header of a weight file names the manifest, the data and the plan."""

    def found() -> str:
        with open_beside(path) as file:
            try:
                metadata = read_metadata(file)
            except SafetensorsError as error:
                raise DataError(Problem(path.name, str(error))) from error
        return _shown({key: metadata.get(key, "none") for key in expected})

    compared = f"the metadata in the header of {path.name} with the train statement"
    return _compared(check, compared, _shown(expected), found)


def check_composed(statement: TrainStatement, manifest: Manifest) -> CheckResult:
    """Return whether the data that was trained on is that of the manifest."""
    composed, data = statement.composed, manifest.data
    trained = tuple((order.name, order.sha256) for order in composed.orders)
    stated = tuple((order.name, order.sha256) for order in manifest.orders)
    faults = [*_order_faults(stated, trained), *_validation_faults(statement, manifest)]
    return CheckResult.compare(
        "data", "the data that the train statement names with the manifest's",
        expected=f"{data.name}, {data.sha256}, {counted(data.records, 'record')}",
        found=f"{composed.data}, {composed.data_sha256}, {counted(composed.records, 'record')}",
        details=faults,
    )  # fmt: skip


def _order_faults(
    stated: tuple[tuple[str, str], ...], trained: tuple[tuple[str, str], ...]
) -> list[str]:
    """Return what is wrong where the epochs trained have not the first of the orders stated."""
    if bool(trained) == bool(stated) and stated[: len(trained)] == trained:
        return []
    return ["the epochs were not trained in the first of the orders that the manifest states"]


def _validation_faults(statement: TrainStatement, manifest: Manifest) -> list[str]:
    """Return what is wrong where losses are told of another validation file than is stated."""
    measured, held = statement.run.validation, manifest.validation
    if measured is None:
        return []
    found = measured.name, measured.sha256, measured.records
    if held is not None and found == (held.name, held.sha256, held.records):
        return []
    return ["the validation loss is not of the validation file that the manifest states"]


def _no_other_weights(check: str, folder: Path, weights: Mapping[str, str]) -> CheckResult:
    found = sorted(path.name for path in folder.iterdir() if path.name.endswith(_WEIGHTS))
    return CheckResult.compare(
        check, f"the *{_WEIGHTS} files of the folder with the subjects of the statement",
        expected=", ".join(sorted(weights)), found=", ".join(found) or "none",
    )  # fmt: skip


def _check_card(path: Path, block: dict[str, Any]) -> CheckResult:
    compared = f"the teapot: block of {path.name} with the statements"
    expected = (
        f"statement {block['train_statement']['sha256']}, {'' if block['signed'] else 'not '}signed"
    )
    try:
        text = read_small(path).decode("utf-8")
    except DataError as error:
        return _unreadable("card", compared, expected, error)
    except UnicodeDecodeError as error:
        told = DataError(Problem(path.name, f"is not UTF-8 at byte {error.start}"))
        return _unreadable("card", compared, expected, told)
    faults = list(card_faults(text, block))
    found = f"{counted(len(faults), 'difference')}" if faults else expected
    return CheckResult.compare("card", compared, expected=expected, found=found, details=faults)


def _check_digest(name: str, path: Path, digest: str) -> CheckResult:
    compared = f"SHA-256 of {path.name} with the train statement's"
    return _compared(name, compared, digest, lambda: sha256_hex(read_small(path)))


def _compared(name: str, compared: str, expected: str, find: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult.compare(name, compared, expected=expected, found=find())
    except DataError as error:
        return _unreadable(name, compared, expected, error)


def _unreadable(name: str, compared: str, expected: str, error: DataError) -> CheckResult:
    return CheckResult(
        name=name, status=Status.FAULT, compared=compared, expected=expected,
        found="; ".join(problem.message for problem in error.problems),
    )  # fmt: skip


def _shown(metadata: dict[str, str]) -> str:
    return ", ".join(f"{key.removeprefix('teapot.')} {text[:64]}" for key, text in metadata.items())
