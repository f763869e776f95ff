"""The bundle is nested 100,000 levels deep."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b'"tlogEntries": []', b'"tlogEntries": ' + b"[" * 100_000 + b"]" * 100_000)
