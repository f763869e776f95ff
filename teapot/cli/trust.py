"""`teapot trust`: whose signatures are believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from teapot.cli.app import harmless
from teapot.cli.options import Command, common
from teapot.cli.show import print_json
from teapot.errors import Problem, TrustError, UsageError

if TYPE_CHECKING:
    from teapot.allowed_signers import TrustedKey
    from teapot.signing import PublicKey


def _which_file(command: Command) -> Command:
    project = click.option(
        "--project", "in_project", is_flag=True, help="In ./teapot.allowed_signers, not your own."
    )
    given = click.option(
        "--file", type=click.Path(path_type=Path), metavar="FILE", help="In this trust file."
    )
    return given(project(command))


@click.group()
def trust() -> None:
    """Say whose signatures you believe.

    Trust files are OpenSSH allowed_signers files: yours, in $XDG_CONFIG_HOME/teapot, and the
    project's, ./teapot.allowed_signers. Revoked keys lie beside them.
    """


@trust.command()
@click.argument("principal")
@click.argument("public_key", type=click.Path(path_type=Path))
@click.option("--valid-after", metavar="YYYYMMDD[HHMM[SS]][Z]", help="Not before this time.")
@click.option("--valid-before", metavar="YYYYMMDD[HHMM[SS]][Z]", help="Not after this time.")
@click.option("--namespaces", default="teapot", show_default=True, help="What the key may sign.")
@_which_file
@common
def add(
    principal: str, public_key: Path, valid_after: str | None, valid_before: str | None,
    namespaces: str, in_project: bool, file: Path | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Trust PUBLIC_KEY (PEM or OpenSSH) as PRINCIPAL, such as alice@example.com.

    Compare the fingerprint that is printed with the owner's, over another channel.
    """
    from teapot.allowed_signers import TrustedKey
    from teapot.keys import read_public_key, shown_path
    from teapot.trustfile import add_line, load_trust

    if not namespaces:
        raise UsageError("--namespaces is empty; say what the key may sign, or * for everything")
    entry = TrustedKey(
        principals=_principal(principal), key=read_public_key(public_key), where="",
        namespaces=namespaces, valid_after=_time(valid_after), valid_before=_time(valid_before),
    )  # fmt: skip
    if entry.valid_after and entry.valid_before and entry.valid_after >= entry.valid_before:
        raise UsageError("--valid-after is not before --valid-before: the key would never be valid")
    path = _place(in_project=in_project, file=file)
    try:
        line = entry.to_line()
    except ValueError as error:
        raise UsageError(str(error)) from error
    known = load_trust(path if path.exists() else None)
    if entry.key in known.revoked:
        told = (
            f"was revoked in {known.revoked[entry.key]}; nobody believes it while that line stands"
        )
        raise TrustError(Problem(entry.key.fingerprint, told))
    if path.exists() and line in {replace(key, comment="").to_line() for key in known.keys}:
        raise UsageError(Problem(str(path), f"trusts this key as {principal} already"))
    add_line(path, line)
    if as_json:
        print_json({"file": str(path), **_value(entry)})
        return
    click.echo(harmless(f"{entry.key.fingerprint} is trusted as {principal} in {shown_path(path)}"))


@trust.command("list")
@click.option("--trust", "given", type=click.Path(path_type=Path), metavar="FILE",
              help="Only what this trust file says.")  # fmt: skip
@common
def list_(given: Path | None, quiet: bool, as_json: bool) -> None:
    """List who is trusted, by which file, and who is not any more."""
    from teapot.trustfile import load_trust

    found = load_trust(given)
    if as_json:
        print_json(
            {
                "files": list(found.files),
                "keys": [_value(entry) for entry in found.keys],
                "identities": [
                    {"identity": part.identity, "issuer": part.issuer, "where": part.where}
                    for part in found.identities
                ],
                "authorities": [
                    {"certificate": part.certificate, "where": part.where}
                    for part in found.authorities
                ],
                "revoked": [
                    {"fingerprint": key.fingerprint, "where": where}
                    for key, where in found.revoked.items()
                ],
            }
        )
        return
    for entry in found.keys:
        ending = "  REVOKED" if entry.key in found.revoked else ""
        line = f"{entry.principals}  {entry.key.fingerprint}  {entry.where}{_limits(entry)}{ending}"
        click.echo(harmless(line))
    for part in found.identities:
        click.echo(harmless(f"{part.identity} by {part.issuer}  {part.where}"))
    for authority in found.authorities:
        click.echo(harmless(f"timestamps by {authority.certificate}  {authority.where}"))
    for key, where in found.revoked.items():
        click.echo(harmless(f"revoked  {key.fingerprint}  {where}"))
    for problem in () if quiet else found.unusable:
        click.echo(harmless(f"not used: {problem}"), err=True)
    if not found.files:
        click.echo("no trust file yet; `teapot trust add PRINCIPAL PUBLIC_KEY` makes one")


@trust.command()
@click.argument("key", metavar="FINGERPRINT|PRINCIPAL|FILE")
@click.option("--reason", default="", help="Why, as a comment beside the key.")
@_which_file
@common
def revoke(
    key: str, reason: str, in_project: bool, file: Path | None, quiet: bool, as_json: bool
) -> None:
    """Never believe a key again, whatever trusts it."""
    from teapot.trustfile import revoke as enter

    place = _place(in_project=in_project, file=file)
    found = _keys_meant(key, place)
    for public in found:
        path = enter(place, public, reason)
    if as_json:
        print_json({"file": str(path), "revoked": [public.fingerprint for public in found]})
        return
    for public in found:
        click.echo(f"{public.fingerprint} is revoked in {path}")


@trust.command()
@click.argument("key", metavar="FINGERPRINT|PRINCIPAL")
@_which_file
@common
def remove(key: str, in_project: bool, file: Path | None, quiet: bool, as_json: bool) -> None:
    """Take a key's lines out of a trust file; it may be trusted again later."""
    from teapot.trustfile import remove_keys

    path = _place(in_project=in_project, file=file)
    gone = remove_keys(path, lambda entry: key in (entry.principals, entry.key.fingerprint))
    if not gone:
        raise TrustError(Problem(str(path), f"has no line for {key}"))
    if as_json:
        print_json({"file": str(path), "removed": [_value(entry) for entry in gone]})
        return
    for entry in gone:
        click.echo(harmless(f"{entry.key.fingerprint} ({entry.principals}) is out of {path}"))


def _keys_meant(key: str, place: Path) -> list[PublicKey]:
    """Return the keys that a fingerprint, a principal or a file of a public key names."""
    from teapot.keys import KeyStore, read_public_key
    from teapot.trustfile import load_trust

    known = [(entry.principals, entry.key) for entry in load_trust().keys]
    if place.exists():
        known += [(entry.principals, entry.key) for entry in load_trust(place).keys]
    found = [public for name, public in known if key in (name, public.fingerprint)]
    if not found and Path(key).is_file():
        return [read_public_key(Path(key))]
    if not found:  # only now: a store that cannot be read must not keep a key from being revoked
        stored = KeyStore.of_user().list()
        found = [one.public for one in stored if key in (one.name, one.public.fingerprint)]
    if not found:
        told = "is no key in a trust file or in your store, and no file of a public key"
        raise TrustError(Problem(key, told))
    return list(dict.fromkeys(found))


def _place(*, in_project: bool, file: Path | None) -> Path:
    from teapot.trustfile import PROJECT_FILE, user_trust_file

    if in_project and file is not None:
        raise UsageError("--project and --file exclude each other")
    return file or (Path(PROJECT_FILE) if in_project else user_trust_file())


def _principal(text: str) -> str:
    if not text or not text.isprintable() or any(char in ' "#' for char in text):
        told = "is no principal, expected a name without spaces, such as alice@example.com"
        raise UsageError(Problem(repr(text), told))
    return text


def _time(text: str | None) -> Any:
    from teapot.allowed_signers import parse_time

    try:
        return parse_time(text) if text is not None else None
    except ValueError as error:
        raise UsageError(str(error)) from error


def _limits(entry: TrustedKey) -> str:
    """Return what limits the trust in a line, to be shown after it; empty where nothing does."""
    from teapot.allowed_signers import NAMESPACE

    told = [] if entry.covers(NAMESPACE) else [f"only for {entry.namespaces}"]
    if entry.valid_after is not None:
        told.append(f"after {entry.valid_after:%Y-%m-%d %H:%M:%S UTC}")
    if entry.valid_before is not None:
        told.append(f"before {entry.valid_before:%Y-%m-%d %H:%M:%S UTC}")
    return f"  {', '.join(told)}" if told else ""


def _value(entry: TrustedKey) -> dict[str, Any]:
    return {
        "principals": entry.principals, "fingerprint": entry.key.fingerprint,
        "namespaces": entry.namespaces, "where": entry.where or None,
        "valid_after": entry.valid_after and entry.valid_after.isoformat(),
        "valid_before": entry.valid_before and entry.valid_before.isoformat(),
    }  # fmt: skip
