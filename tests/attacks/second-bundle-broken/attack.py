"""Beside the genuine bundle lies one whose signature was altered."""

from tests.support.attacks import SECOND_BUNDLE, alter_signature

alter_signature(SECOND_BUNDLE)
