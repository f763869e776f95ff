"""The private key's file can be read by others."""

from pathlib import Path

from tests.support.environment import own_key

path = Path("stolen.pem")
path.write_bytes(own_key().to_pem())
path.chmod(0o644)
