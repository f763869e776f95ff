"""Anyone on the machine can write into the trust file."""

from tests.support.attacks import TRUST

TRUST.chmod(0o666)
