"""A config asks YAML to run a command."""

from pathlib import Path

Path("mix.config").write_text("modules: !!python/object/apply:os.system [touch owned]\n")
