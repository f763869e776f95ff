"""A line break stands in the payload's base64."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b'"payload": "ewog', b'"payload": "ewog\\n')
