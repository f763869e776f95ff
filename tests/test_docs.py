"""The README's commands do what it says: each console block is run, and its output compared.

After a change that is meant, `python tests/test_docs.py` writes the true output into the README.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def played(text: str, folder: Path) -> str:
    """Return the text with the true output under every command, all run in one shell session."""
    return _BLOCK.sub(lambda block: f"```console\n{_play(block[1], folder)}```", text)


def _play(block: str, folder: Path) -> str:
    shown = []
    for command in _commands(block):
        shown.append("$ " + command.replace("\n", "\n> "))
        shown.extend(line.rstrip() for line in _run(command, folder).splitlines())
    return "\n".join(shown) + "\n"


def _commands(block: str) -> list[str]:
    commands: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif line.startswith("> "):
            commands[-1] += "\n" + line[2:]
    return commands


def _run(command: str, folder: Path) -> str:
    """Run a command in the session's folder, which a `cd` moves for the next ones."""
    here = folder / ".cwd"
    where = here.read_text().strip() if here.exists() else str(folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = f"{command}\n[ $? -eq 0 ] || true; pwd > {here}"
    environment = {**os.environ, "PATH": path, "HOME": str(folder / "home")}
    for name in ("TEAPOT_SIGNING_KEY", "XDG_CONFIG_HOME"):
        environment.pop(name, None)  # the reader has no key yet
    ran = subprocess.run(
        ["bash", "-c", script], cwd=where, env=environment, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return ran.stdout


def _with_known_keys(text: str, known: str) -> str:
    """Put the fingerprints of a known text in place of those of another run, one by one."""
    fingerprints = iter(_FINGERPRINT.findall(known))
    return _FINGERPRINT.sub(lambda found: next(fingerprints, found[0]), text)


def test_readme_shows_what_its_commands_print(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("\n$ teapot ") >= 8
    # Every run makes a new key; all else is the same.
    assert _with_known_keys(played(text, tmp_path), text) == text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as session:
        README.write_text(played(README.read_text(encoding="utf-8"), Path(session)), "utf-8")
