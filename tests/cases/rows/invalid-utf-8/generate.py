from pathlib import Path

Path("modules/t/rows.jsonl").write_bytes(b'{"id": "caf\xe9", "messages": []}\n')
