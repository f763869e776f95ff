from pathlib import Path

Path("mix.config").write_text("#" * (1 << 20) + "\n")
