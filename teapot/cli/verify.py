"""`teapot verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.options import common, mix_options, shown_progress, trust_options
from teapot.cli.show import print_json, print_verification

if TYPE_CHECKING:
    from teapot.model.verification import Verification
    from teapot.resolve import MixOptions
    from teapot.usecases.verify import VerifyOptions


@click.command()
@click.argument("targets", nargs=-1, type=click.Path(path_type=Path), metavar="[TARGET]...")
@trust_options
@click.option("--rebuild", is_flag=True, help="Compose again, and compare the bytes.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The config to rebuild from, where its name does not tell.",
)
@click.option("--manifest-only", is_flag=True, help="Leave data file and ledger aside.")
@click.option("--records", is_flag=True, help="Parse every line, and compare it with the ledger.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="With a proof as TARGET: the record it is about.",
)
@mix_options
@common
def verify(
    targets: tuple[Path, ...], options: MixOptions, believing: VerifyOptions, quiet: bool,
    as_json: bool, record: Path | None, **named: Any,
) -> int:  # fmt: skip
    """Prove or disprove every claim of a composition, and say which.

    TARGET is any file of a composition, a folder, a proof, a trained model's folder or any signed
    folder; none means every manifest of this project.
    """
    from dataclasses import replace

    from teapot.model.verification import exit_code

    with shown_progress(options, quiet=quiet) as watched:
        found = _verified(targets, record, replace(believing, mix=watched, **named))
    if as_json:
        print_json([verification.to_dict() for verification in found])
    else:
        for verification in found:
            print_verification(verification)
            click.echo()
    return exit_code(result.status for part in found for result in part.results)


def _verified(
    targets: tuple[Path, ...], record: Path | None, options: VerifyOptions
) -> list[Verification]:
    from teapot.errors import UsageError
    from teapot.model.trainstatement import STATEMENT
    from teapot.usecases.verify import verify as check

    proofs = [target for target in targets if target.name.endswith(".proof.json")]
    models = [target for target in targets if os.path.lexists(target / STATEMENT)]
    signed = [target for target in targets if os.path.lexists(target / "model.sig")]
    folders = [target for target in signed if target not in models]
    if record is not None and not proofs:
        raise UsageError("--record goes with a proof (NAME.proof.json) as target")
    found = [
        *_proofs(proofs, record, options), *_folders(folders, options), *_models(models, options)
    ]  # fmt: skip
    whole = [*proofs, *models]
    others = [target for target in targets if target not in whole and _has_composition(target)]
    if targets and not others:
        kind = "a signed folder without a manifest" if folders else "a proof"
        _refuse_what_would_be_ignored(options, "a model folder" if models else kind)
    return found + (check(*others, options=options) if others or not found else [])


def _proofs(
    targets: list[Path], record: Path | None, options: VerifyOptions
) -> Iterator[Verification]:
    for target in targets:
        from teapot.usecases.verifyproof import verify_proof  # parsers of rows

        yield verify_proof(target, record, options)


def _folders(targets: list[Path], options: VerifyOptions) -> Iterator[Verification]:
    for target in targets:
        from teapot.usecases.verifyfolder import verify_folder

        yield verify_folder(target, options)


def _models(targets: list[Path], options: VerifyOptions) -> Iterator[Verification]:
    for target in targets:
        from teapot.usecases.verifymodel import verify_model

        yield verify_model(target, options)


def _refuse_what_would_be_ignored(options: VerifyOptions, kind: str) -> None:
    """Refuse options that say something of a composition where there is none."""
    from teapot.errors import UsageError

    given = {
        "--expect": options.expect is not None and kind.startswith("a signed folder"),
        "--rebuild": options.rebuild,
        "--records": options.records,
        "--manifest-only": options.manifest_only,
        "--config": options.config is not None,
        "--source": bool(options.mix.sources),
    }
    idle = [name for name, is_given in given.items() if is_given]
    if idle:
        raise UsageError(f"{' and '.join(idle)} would do nothing for {kind}; leave it out")


def _has_composition(target: Path) -> bool:
    """Tell whether a target is to be verified as a composition: not a folder with none in it."""
    signed = os.path.lexists(target / "model.sig")
    return not signed or any(target.glob("*.manifest.json"))
