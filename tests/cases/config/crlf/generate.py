from pathlib import Path

TEXT = b"modules: {t/rows: true}\r\nlicense: {allowed: all}\r\n"
Path("mix.config").write_bytes(TEXT)
