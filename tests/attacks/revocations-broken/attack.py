"""The list of revoked keys is damaged, so that a revoked key might pass."""

from pathlib import Path

from tests.support.environment import own_key

Path("teapot.revoked_keys").write_text(own_key().public.ssh[:-9] + "\n")
