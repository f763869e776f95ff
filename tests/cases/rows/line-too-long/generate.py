from pathlib import Path

LINE = '{"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}\n'
Path("modules/t/rows.jsonl").write_text(LINE.replace("x", "x" * (20 << 20)))
