"""A second signature stands in the envelope."""

from tests.support.attacks import BUNDLE, edit_json

edit_json(BUNDLE, lambda bundle: bundle["dsseEnvelope"]["signatures"].append({"sig": "AAAA"}))
