"""The list of revoked keys names a certificate, which ssh-keygen takes for its key."""

from pathlib import Path

Path("teapot.revoked_keys").write_text("ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA me\n")
