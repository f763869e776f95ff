"""The bundle has a key that Teapot does not know."""

from tests.support.attacks import BUNDLE, edit_json

edit_json(BUNDLE, lambda bundle: bundle.update(trusted=True))
