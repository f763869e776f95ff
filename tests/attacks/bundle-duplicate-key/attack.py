"""The bundle has two payloads: one for each kind of reader."""

from tests.support.attacks import BUNDLE, swap

swap(BUNDLE, b'"payload": ', b'"payload": "e30=",\n    "payload": ')
