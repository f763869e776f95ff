from pathlib import Path

Path("mix.config").write_bytes(b"# caf\xe9\nmodules: {t/rows: true}\n")
