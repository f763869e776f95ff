from pathlib import Path

from backports import zstd

LINE = b'{"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}\n'
Path("modules/t/rows.jsonl.zst").write_bytes(zstd.compress(LINE))
