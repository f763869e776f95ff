"""The data is a dangling link in a folder called manifests, as published manifests have no data."""

import shutil
from pathlib import Path

from tests.support.attacks import BUNDLE, MANIFEST

folder = Path("handed", "manifests")
folder.mkdir(parents=True)
for path in (MANIFEST, BUNDLE):
    shutil.copy(path, folder)
(folder / "tea.jsonl").symlink_to("nowhere")
