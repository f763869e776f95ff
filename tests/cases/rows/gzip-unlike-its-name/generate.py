import gzip
from pathlib import Path

LINE = b'{"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}\n'
Path("modules/t/rows.jsonl").write_bytes(gzip.compress(LINE, mtime=0))
