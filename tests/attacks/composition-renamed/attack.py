"""A genuine composition is handed over under the name of another one."""

from tests.support.attacks import BUNDLE, DATA, LEDGER, MANIFEST

for path in (DATA, LEDGER, MANIFEST, BUNDLE):
    path.rename(path.name.replace("tea", "coffee"))
