"""A signed folder's model.sig becomes a dangling link, so that nobody looks at code.py."""

from pathlib import Path

Path("code.py").write_text("print('owned')\n")
Path("model.sig").symlink_to("nowhere")
