"""The use cases of signing: which key signs, and the first key of a new user."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teapot.allowed_signers import NAMESPACE, TrustedKey
from teapot.bundle import MAX_BYTES as MAX_BUNDLE_BYTES
from teapot.bundle import Bundle, BundleError
from teapot.datafile import open_beside
from teapot.digest import sha256_hex
from teapot.errors import DataError, Problem
from teapot.files import OutputPaths, recover, write_atomically
from teapot.interfaces import silent
from teapot.keys import (
    DEFAULT_NAME,
    AskPassphrase,
    KeyStore,
    StoredKey,
    ask_nobody,
    find_signing_key,
    named_key_file,
    shown_path,
)
from teapot.manifestchecks import check_recipe, check_sums
from teapot.manifestfile import MAX_BYTES, read_manifest, stated_recipe_sha256
from teapot.model.verification import CheckResult, Status
from teapot.signing import PrivateKey
from teapot.trustfile import add_line, load_trust, user_trust_file
from teapot.usecases.targets import compositions_of

if TYPE_CHECKING:
    from teapot.usecases.compose import Signer

SELF = "self"
"""The principal under which a user's own first key stands in the user's own trust file."""

Tell = Callable[[str], None]


def _silent(text: str) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class KeySigner:
    """Signs manifests with the user's key, which is made at the first need.

    Called with a manifest's bytes it returns a bundle's. `timestamp_url` names a timestamp
    authority, whose word on the time is then asked for and put into the bundle.
    """

    key: PrivateKey | None
    tell: Tell
    timestamp_url: str | None = None

    def __call__(self, manifest: bytes) -> bytes:
        """Return the bundle over a manifest's bytes."""
        key = self._found_key() or PrivateKey.generate()
        bundle = Bundle.sign(manifest, key)
        if self.timestamp_url is not None:
            bundle = _stamped(bundle, self.timestamp_url)
        self._keep(key)  # last, so that a run that fails makes no key
        return bundle.to_bytes()

    def needed_key(self) -> PrivateKey:
        """Return the key to sign with, made now if the user has none."""
        return self._keep(self._found_key() or PrivateKey.generate())

    def _found_key(self) -> PrivateKey | None:
        if self.key is None:
            # A long run ago there was none; another may have made it meanwhile.
            self.key = find_signing_key(None)
        return self.key

    def _keep(self, key: PrivateKey) -> PrivateKey:
        """Make a key the user's own if they have none yet, and say so."""
        if self.key is None:
            stored = new_key(DEFAULT_NAME, key, None)
            self.key = key
            self.tell(
                f"made your signing key {stored.public.fingerprint}\n"
                f"  in {shown_path(stored.path)}; {shown_path(user_trust_file())} trusts it\n"
                "  others need its public half: teapot keys export-public"
            )
        return self.key


def key_signer(
    given: Path | None = None,
    *,
    ask: AskPassphrase = ask_nobody,
    tell: Tell = _silent,
    timestamp_url: str | None = None,
) -> KeySigner:
    """Return what signs with the key given, else the environment's, else the user's own.

    A key file in a git work tree is told: it is one commit away from everybody.

    Raises:
        SigningKeyError: the key is missing, unusable, open to others, or stays locked.
    """
    key = find_signing_key(given, ask)
    file = named_key_file(given)
    if file is not None and _lies_in_work_tree(file):
        tell(f"warning: {file}: lies in a git work tree; one commit gives it away")
    return KeySigner(key, tell, timestamp_url)


def new_key(name: str, key: PrivateKey, passphrase: bytes | None) -> StoredKey:
    """Put a key into the user's store, and its public half into the user's trust file.

    Raises:
        SigningKeyError: the name is taken or is no name.
        TrustError: the trust file cannot be read.
    """
    path = user_trust_file()
    trusted = load_trust(path).keys if os.path.lexists(path) else ()
    store = KeyStore.of_user()
    stored = store.add(name, key, passphrase)
    if not any(entry.key == key.public for entry in trusted):
        principal = SELF if name == DEFAULT_NAME else f"{SELF}/{name}"
        entry = TrustedKey(principals=principal, key=key.public, where="", namespaces=NAMESPACE)
        try:
            add_line(path, entry.to_line())
        except BaseException:
            store.discard(stored)  # else the next run would sign with what nobody trusts
            raise
    return stored


def _lies_in_work_tree(file: Path) -> bool:
    return any(os.path.lexists(folder / ".git") for folder in file.resolve().parents)


def _stamped(bundle: Bundle, url: str) -> Bundle:
    from dataclasses import replace

    from teapot.timestamps import request_timestamp

    return replace(bundle, timestamps=(request_timestamp(bundle.signature, url),))


def sign_manifest(target: Path, signer: Signer, *, manifest_only: bool = False) -> list[Path]:
    """Sign manifests that lie there, and return the signatures' paths.

    A signature by the same key is replaced. Where others have signed, theirs stay, and this one
    gets a name with eight hex digits of its key's fingerprint, for verifiers who ask for several.

    With `manifest_only`, data file and ledger are not looked at, and need not be there.

    Raises:
        UsageError: the target names no manifest.
        DataError: what would be signed is no manifest, or its data or ledger is not what it states.
    """
    found = compositions_of([target])
    return [_sign_one(paths, signer, manifest_only=manifest_only) for paths in found]


def _sign_one(paths: OutputPaths, signer: Signer, *, manifest_only: bool) -> Path:
    from teapot.contentchecks import ContentChecks  # heavy, and only needed here

    recover(paths)
    with open_beside(paths.manifest) as file:
        manifest = file.read(MAX_BYTES + 1)
    stated = read_manifest(manifest, str(paths.manifest))
    results = [check_sums(stated), check_recipe(stated, stated_recipe_sha256(manifest))]
    if not manifest_only:
        results += ContentChecks(paths, stated, silent).run()
    faults = [result for result in results if result.status == Status.FAULT]
    if faults:
        raise DataError(
            *(Problem(str(paths.manifest), _told(result)) for result in faults),
            "nothing was signed: compose again"
            + ("" if manifest_only else ", or sign the manifest alone with --manifest-only"),
        )
    made = signer(manifest)
    path = _place(paths, Bundle.parse(made), manifest)
    write_atomically(path, made)
    return path


def _told(fault: CheckResult) -> str:
    """Return what a check found; where the digests agree it is in the details."""
    if fault.expected == fault.found:
        return f"{fault.name}: {'; '.join(fault.details)}"
    return f"{fault.name}: expected {fault.expected}, found {fault.found}"


def _place(paths: OutputPaths, bundle: Bundle, manifest: bytes) -> Path:
    """Return where a signature goes: over one of the same signer or of older bytes, else beside."""
    known = {path: _known(path) for path in paths.all_bundles()}
    of_manifest = {p: b for p, b in known.items() if b is not None and b.payload == manifest}
    for path, other in of_manifest.items():
        if _name_of(other) == _name_of(bundle):
            return path
    first = paths.bundle
    if first not in of_manifest:
        return first
    short = sha256_hex(_name_of(bundle))[:8]
    return first.with_name(f"{paths.stem}.manifest.{short}.sigstore.json")


def _known(path: Path) -> Bundle | None:
    """Return the bundle in a file; None where there is none that can be read."""
    try:
        with open_beside(path) as file:
            return Bundle.parse(file.read(MAX_BUNDLE_BYTES + 1))
    except (BundleError, DataError, OSError):
        return None


def _name_of(bundle: Bundle) -> bytes:
    return bundle.certificate or bundle.keyid.encode("utf-8")


def sign_keylessly(identity_token: str | None, config: Path | None) -> Signer:
    """Return what signs with an identity that an OpenID Connect provider vouches for.

    `config` names another Sigstore instance than the public one.
    """

    def signer(manifest: bytes) -> bytes:
        from teapot.keyless import KeylessError, sign_keyless

        try:
            return sign_keyless(manifest, identity_token=identity_token, trust_config=config)
        except KeylessError as error:
            raise DataError(Problem("sigstore", str(error))) from error

    return signer


def sign_model_folder(folder: Path, key: PrivateKey) -> Path:
    """Sign every file of a folder in the OpenSSF Model Signing format; return the signature.

    Raises:
        DataError: the folder is empty, or holds what cannot be signed.
    """
    from teapot.signed_folder import sign_folder

    return sign_folder(folder, key)
