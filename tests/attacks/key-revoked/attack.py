"""The signer's key has been stolen, and its owner has revoked it."""

from pathlib import Path

from tests.support.environment import own_key

Path("teapot.revoked_keys").write_text(own_key().public.ssh + " stolen\n")
