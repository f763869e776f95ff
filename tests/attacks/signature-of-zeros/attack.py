"""The signature's two numbers are both zero."""

from tests.support.attacks import BUNDLE, edit_json

edit_json(
    BUNDLE,
    lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="MAYCAQACAQA="),
)
