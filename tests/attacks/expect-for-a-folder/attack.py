"""An old signed folder is shown to somebody who pins a manifest, which it does not have."""

from pathlib import Path

from teapot.signed_folder import sign_folder
from tests.support.environment import own_key

folder = Path("model")
folder.mkdir()
(folder / "weights.bin").write_bytes(b"old weights")
sign_folder(folder, own_key())
