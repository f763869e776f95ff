from pathlib import Path

Path("modules/t/rows.jsonl").write_text('{"id": ' + "[" * 10_000 + "]" * 10_000 + "}\n")
