"""A bit of the signature is changed."""

from tests.support.attacks import alter_signature

alter_signature()
