"""The bundle's list of signatures is emptied."""

from tests.support.attacks import BUNDLE, edit_json

edit_json(BUNDLE, lambda bundle: bundle["dsseEnvelope"]["signatures"].clear())
