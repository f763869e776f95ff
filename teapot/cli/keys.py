"""`teapot keys`: the user's signing keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.options import common
from teapot.cli.show import print_json

if TYPE_CHECKING:
    from teapot.keys import StoredKey


@click.group()
def keys() -> None:
    """Make, list, import and show signing keys.

    Keys lie in $XDG_CONFIG_HOME/teapot/keys. The one named "default" signs what you compose; it is
    made at the first need.
    """


@keys.command()
@click.argument("name", default="default")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that protects the key.")
@common
def new(name: str, passphrase: bool, quiet: bool, as_json: bool) -> None:
    """Make a key, and trust it in your own trust file."""
    from teapot.cli.signing_options import new_passphrase
    from teapot.signing import PrivateKey
    from teapot.usecases.signing import new_key

    secret = new_passphrase() if passphrase else None
    _show([new_key(name, PrivateKey.generate(), secret)], as_json=as_json)


@keys.command("list")
@common
def list_(quiet: bool, as_json: bool) -> None:
    """List your keys."""
    from teapot.keys import KeyStore

    found = KeyStore.of_user().list()
    _show(found, as_json=as_json, as_list=True)
    if not found and not as_json:
        click.echo("no key yet; `teapot keys new` makes one, and so does the first `compose`")


@keys.command()
@click.argument("name", default="default")
@common
def show(name: str, quiet: bool, as_json: bool) -> None:
    """Show one key: fingerprint, file and public half."""
    from teapot.keys import KeyStore

    key = KeyStore.of_user().get(name)
    _show([key], as_json=as_json)
    if not as_json:
        click.echo(f"{key.public.ssh} {key.name}")


@keys.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="default", help="The name of the key in the store.")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that protects the copy.")
@common
def import_(file: Path, name: str, passphrase: bool, quiet: bool, as_json: bool) -> None:
    """Copy a private key (PEM or OpenSSH, ECDSA P-256) into the store.

    A copy of an encrypted key is unprotected unless --passphrase asks for a new passphrase.
    """
    from teapot.cli.signing_options import asker, new_passphrase
    from teapot.keys import read_key_file
    from teapot.usecases.signing import new_key

    key = read_key_file(file, asker(insist=False))
    secret = new_passphrase() if passphrase else None
    _show([new_key(name, key, secret)], as_json=as_json)


@keys.command("export-public")
@click.argument("name", default="default")
@click.option("--pem", is_flag=True, help="PEM, as openssl reads it; not the OpenSSH line.")
@common
def export_public(name: str, pem: bool, quiet: bool, as_json: bool) -> None:
    """Print a key's public half, for those who verify."""
    from teapot.keys import KeyStore

    key = KeyStore.of_user().get(name)
    text = key.public.to_pem().decode("ascii") if pem else f"{key.public.ssh} {key.name}\n"
    if as_json:
        print_json({**_value(key), "public": text})
        return
    click.echo(text, nl=False)


def _show(found: list[StoredKey], *, as_json: bool, as_list: bool = False) -> None:
    if as_json:
        values = [_value(key) for key in found]
        print_json(values if as_list else values[0])
        return
    for key in found:
        click.echo(f"{key.name}  {key.public.fingerprint}  {key.path}")


def _value(key: StoredKey) -> dict[str, Any]:
    return {
        "name": key.name, "fingerprint": key.public.fingerprint, "path": str(key.path),
        "public_key": key.public.ssh,
    }  # fmt: skip
