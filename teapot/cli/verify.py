"""`teapot verify`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import common, mix_options, shown_progress
from teapot.cli.show import print_json, result_lines

if TYPE_CHECKING:
    from teapot.model.verification import Verification
    from teapot.resolve import MixOptions
    from teapot.usecases.verify import VerifyOptions


@click.command()
@click.argument("targets", nargs=-1, type=click.Path(path_type=Path), metavar="[TARGET]...")
@click.option(
    "--trust", type=click.Path(path_type=Path), metavar="FILE", help="Believe this trust file only."
)
@click.option("--expect", metavar="SHA256", help="The manifest must have this SHA-256.")
@click.option("--signer", metavar="PRINCIPAL", help="Only this principal may have signed.")
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trusted signers at least, each key counted once.",
)
@click.option("--rebuild", is_flag=True, help="Compose again, and compare the bytes.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The config to rebuild from, where its name does not tell.",
)
@click.option("--manifest-only", is_flag=True, help="Leave data file and ledger aside.")
@click.option("--records", is_flag=True, help="Parse every line, and compare it with the ledger.")
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Go on where nobody trusted has signed: proves only that the files agree.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="With a proof as TARGET: the record it is about.",
)
@click.option(
    "--sigstore-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Another Sigstore instance than the public one.",
)
@mix_options
@common
def verify(
    targets: tuple[Path, ...], options: MixOptions, quiet: bool, as_json: bool, record: Path | None,
    **named: Any,
) -> int:  # fmt: skip
    """Prove or disprove every claim of a composition, and say which.

    TARGET is any file of a composition, a folder, a proof, a trained model's folder or any signed
    folder; none means every manifest of this project.
    """
    from teapot.model.verification import exit_code

    with shown_progress(options, quiet=quiet) as watched:
        found = _verified(targets, record, mix=watched, **named)
    if as_json:
        print_json([verification.to_dict() for verification in found])
    else:
        for verification in found:
            _show(verification)
    return exit_code(result.status for part in found for result in part.results)


def _verified(
    targets: tuple[Path, ...], record: Path | None, *, mix: MixOptions, expect: str | None,
    **named: Any,
) -> list[Verification]:  # fmt: skip
    import re

    from teapot.errors import Problem, UsageError
    from teapot.usecases.verify import VerifyOptions
    from teapot.usecases.verify import verify as check
    from teapot.usecases.verifyfolder import verify_folder
    from teapot.usecases.verifymodel import is_model_folder, verify_model
    from teapot.usecases.verifyproof import verify_proof

    if expect is not None and not re.fullmatch("[0-9a-f]{64}", expect):
        raise UsageError(Problem("--expect", f"{expect!r} is no SHA-256 of 64 hex digits"))
    keyless = named.pop("sigstore_config")
    options = VerifyOptions(mix=mix, expect=expect, keyless_config=keyless, **named)
    proofs = [target for target in targets if target.name.endswith(".proof.json")]
    models = [target for target in targets if is_model_folder(target)]
    signed = [target for target in targets if os.path.lexists(target / "model.sig")]
    folders = [target for target in signed if target not in models]
    if record is not None and not proofs:
        raise UsageError("--record goes with a proof (NAME.proof.json) as target")
    found = [verify_proof(target, record, options) for target in proofs]
    found += [verify_folder(target, options) for target in folders]
    found += [verify_model(target, options) for target in models]
    whole = [*proofs, *models]
    others = [target for target in targets if target not in whole and _has_composition(target)]
    if targets and not others:
        kind = "a signed folder without a manifest" if folders else "a proof"
        _refuse_what_would_be_ignored(options, "a model folder" if models else kind)
    return found + (check(*others, options=options) if others or not found else [])


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


def _show(verification: Verification) -> None:
    click.echo(harmless(verification.target))
    for result in verification.results:
        for line in result_lines(result):
            click.echo(harmless(line))
    click.echo(f"{harmless(_summary(verification))}\n")


def _summary(verification: Verification) -> str:
    from teapot.model.verification import Status

    of = {status: [r.name for r in verification.results if r.status == status] for status in Status}
    if verification.is_ok:
        left = f", {len(of[Status.SKIPPED])} skipped" if of[Status.SKIPPED] else ""
        return f"verified: {len(of[Status.OK])} checks hold{left}"
    wrong = [
        f"{status} in {', '.join(dict.fromkeys(names))}" for status, names in of.items()
        if names and status not in (Status.OK, Status.NOTE, Status.SKIPPED)
    ]  # fmt: skip
    return f"NOT VERIFIED: {'; '.join(wrong)} (exit code {verification.exit_code})"
