"""A source is a small gzip file that unpacks to 512 MiB."""

import gzip
from pathlib import Path

from tests.support.project import write_config, write_module

bomb = {"id": "bomb", "kind": "jsonl", "path": "bomb.jsonl.gz"}
config = write_config(Path(), {"tea/bomb": 1})
write_module(Path(), "tea/bomb", b"", sources=[bomb])
Path("modules/tea/bomb.jsonl.gz").write_bytes(gzip.compress(bytes(512 << 20), 1))
