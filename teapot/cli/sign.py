"""`teapot sign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from teapot.cli.app import harmless
from teapot.cli.options import common
from teapot.cli.show import print_json
from teapot.cli.signing_options import signing_options
from teapot.errors import UsageError

if TYPE_CHECKING:
    from teapot.cli.signing_options import MakeSigner


@click.command()
@click.argument("target", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--sigstore",
    "keyless",
    is_flag=True,
    help="Sign with an identity (OpenID Connect), not with a key.",
)
@click.option("--identity-token", envvar="SIGSTORE_ID_TOKEN", metavar="TOKEN", hidden=True)
@click.option(
    "--sigstore-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Another Sigstore instance than the public one.",
)
@click.option("--manifest-only", is_flag=True, help="Sign without a look at data file and ledger.")
@signing_options
@common
def sign(
    target: Path, manifest_only: bool, keyless: bool, identity_token: str | None,
    sigstore_config: Path | None,
    signer: MakeSigner, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Sign a manifest that lies there, or every file of a folder.

    For a manifest the signature goes beside it. A folder gets a model.sig in the format of OpenSSF
    Model Signing, which covers every file in it.
    """
    from teapot.usecases.signing import sign_keylessly, sign_manifest, sign_model_folder

    _refuse_what_would_be_ignored(target, signer, keyless=keyless, config=sigstore_config)
    if target.is_dir():
        key = signer().needed_key()
        written = [sign_model_folder(target, key)]
        by = key.public.fingerprint
    elif keyless:
        written = sign_manifest(
            target, sign_keylessly(identity_token, sigstore_config), manifest_only=manifest_only
        )
        by = "the identity in its certificate"
    else:
        made = signer()
        written = sign_manifest(target, made, manifest_only=manifest_only)
        by = made.needed_key().public.fingerprint
    if as_json:
        print_json({"signed": [str(path) for path in written], "by": by})
        return
    for path in written:
        click.echo(harmless(f"signed    {path}"))
    click.echo(f"          by {by}")


def _refuse_what_would_be_ignored(
    target: Path, signer: MakeSigner, *, keyless: bool, config: Path | None
) -> None:
    if keyless and target.is_dir():
        raise UsageError("a folder is signed with a key; leave out --sigstore")
    if keyless and (signer.key is not None or signer.passphrase or signer.timestamp is not None):
        told = "--sigstore signs with an identity; leave out --key, --passphrase and --timestamp"
        raise UsageError(told)
    if config is not None and not keyless:
        raise UsageError("--sigstore-config goes with --sigstore")
    if target.is_dir() and signer.timestamp is not None:
        raise UsageError("the signature of a folder takes no timestamp; leave out --timestamp")
