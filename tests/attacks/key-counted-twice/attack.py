"""Two signers are asked for, and one key has signed twice."""

from tests.support.attacks import sign_again

sign_again()
