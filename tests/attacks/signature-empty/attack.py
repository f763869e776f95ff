"""The signature is an empty text."""

from tests.support.attacks import BUNDLE, edit_json

edit_json(BUNDLE, lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig=""))
