"""The environment that every test runs in: a known signing key, which is trusted, and no other."""

from __future__ import annotations

from pathlib import Path

from teapot.allowed_signers import NAMESPACE, TrustedKey
from teapot.signing import PrivateKey
from tests.support.keys import key


def own_key() -> PrivateKey:
    """Return the key that signs in tests where nothing else is said."""
    return key(1)


def environment(folder: Path) -> dict[str, str]:
    """Lay a user's configuration and cache into `folder`; return the variables that point there."""
    config = folder / "config" / "teapot"
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = TrustedKey(principals="self", key=own_key().public, where="", namespaces=NAMESPACE)
    (config / "allowed_signers").write_text(entry.to_line() + "\n")
    return {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "TEAPOT_SIGNING_KEY": own_key().to_pem().decode("ascii"),
    }
