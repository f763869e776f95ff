import gzip
from pathlib import Path

LINE = b'{"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}\n'
packed = bytearray(gzip.compress(LINE, mtime=0))
packed[-8] ^= 1
Path("modules/t/rows.jsonl.gz").write_bytes(packed)
