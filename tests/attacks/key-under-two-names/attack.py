"""Two signers are asked for, and one key stands in the trust file under two names."""

from tests.support.attacks import TRUST, sign_again

TRUST.write_text(TRUST.read_text() + TRUST.read_text().replace("alice", "bob"))
sign_again()
