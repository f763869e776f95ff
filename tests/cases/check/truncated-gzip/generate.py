import gzip
from pathlib import Path

Path("chat.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 2, mtime=0)[:-4])
