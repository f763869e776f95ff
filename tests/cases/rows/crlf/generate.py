from pathlib import Path

LINE = b'{"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}\r\n'
Path("modules/t/rows.jsonl").write_bytes(LINE * 2)
