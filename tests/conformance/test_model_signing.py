"""Folders that Teapot signs verify with the OMS project's own tool, and the other way round.

The tool lives in a virtual environment of its own, which the first run makes: below
`$TEAPOT_CONFORMANCE_VENVS`, or in `build/conformance` of the repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from teapot.bundle import Bundle
from teapot.model.verification import Status
from teapot.model_signing import FolderStatement
from teapot.signed_folder import check_folder, key_hint, sign_folder
from teapot.signing import PrivateKey

pytestmark = pytest.mark.conformance

# Read here, since a fixture of conftest.py hides TEAPOT_… from every test.
_VENVS = Path(
    os.environ.get("TEAPOT_CONFORMANCE_VENVS")
    or Path(__file__).parents[2] / "build" / "conformance"
)
# Both import OpenSSL without asking for it; earlier ones need a sigstore that no longer installs.
_VERSIONS = ("1.1.0", "1.1.1")
_COMPANIONS = ("pyOpenSSL>=25,<27", "sigstore>=4,<5")

FILES = {
    "config.json": b"{}",
    "sub/weights.bin": bytes(range(256)) * 5000,  # more than a block
    "empty": b"",
    ".hidden/.env": b"A=1",
    # The tool sorts paths by their parts, OMS and Teapot by the whole name.
    "a/x": b"1",
    "a-b/x": b"2",
    "a.b": b"3",
    "模型 é.bin": b"4",
    # Left out at the top, signed below it.
    ".git/config": b"5",
    ".gitignore": b"6",
    "sub/.git/config": b"7",
}


class Tool:
    """The command `model_signing` of one version, with a key pair both sides use."""

    def __init__(self, version: str, folder: Path, key: PrivateKey) -> None:
        self._python = _environment(version)
        self._private = folder / "key.pem"
        self._private.write_bytes(key.to_pem())
        self.public = folder / "key.pub"
        self.public.write_bytes(key.public.to_pem())

    def sign(self, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run("sign", folder, "--private_key", str(self._private), *options)

    def verify(self, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run("verify", folder, "--public_key", str(self.public), *options)

    def _run(self, verb: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        signature = str(folder / "model.sig")
        command = [verb, "key", str(folder), "--signature", signature, *options]
        return subprocess.run(
            [self._python, "-I", "-m", "model_signing", *command],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def _environment(version: str) -> Path:
    """Return the Python of an environment that has this version, made whole or not at all."""
    folder = (
        _VENVS / f"model-signing-{version}-python{sys.version_info.major}.{sys.version_info.minor}"
    )
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"model-signing=={version}", *_COMPANIONS], check=True)
        finished.touch()
    return python


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="module", params=_VERSIONS)
def tool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key: PrivateKey
) -> Tool:
    return Tool(request.param, tmp_path_factory.mktemp("keys"), key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "sample"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def said(folder: Path, key: PrivateKey) -> FolderStatement:
    """Return what a signature says, after checking that the key has made it."""
    bundle = Bundle.parse((folder / "model.sig").read_bytes())
    assert bundle.hint == key_hint(key.public)
    assert key.public.has_signed(bundle.message, bundle.signature)
    return FolderStatement.parse(bundle.payload)


def alter(folder: Path) -> None:
    (folder / "sub/weights.bin").write_bytes(FILES["sub/weights.bin"] + b"\0")


def add(folder: Path) -> None:
    (folder / ".hidden/code.py").touch()


def remove(folder: Path) -> None:
    (folder / "empty").unlink()


def link(folder: Path) -> None:
    (folder / "empty").unlink()
    (folder / "empty").symlink_to("a.b")


CHANGES = [alter, add, remove, link]


def test_tool_accepts_what_teapot_signs(tool: Tool, folder: Path, key: PrivateKey) -> None:
    sign_folder(folder, key)
    done = tool.verify(folder)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr


@pytest.mark.parametrize("change", CHANGES)
def test_tool_notices_a_change_of_what_teapot_signed(
    tool: Tool, folder: Path, key: PrivateKey, change: Callable[[Path], None]
) -> None:
    sign_folder(folder, key)
    change(folder)
    assert tool.verify(folder).returncode != 0


def test_tool_refuses_what_teapot_signed_with_another_key(tool: Tool, folder: Path) -> None:
    sign_folder(folder, PrivateKey.generate())
    done = tool.verify(folder)
    assert done.returncode != 0
    assert "Key mismatch" in done.stderr


def test_teapot_accepts_what_the_tool_signs(tool: Tool, folder: Path, key: PrivateKey) -> None:
    done = tool.sign(folder)
    assert done.returncode == 0, done.stderr
    theirs = said(folder, key)
    results = check_folder(folder, theirs, must_cover=["config.json", "sub/weights.bin"])
    assert [result.status for result in results] == [Status.OK, Status.OK, Status.NOTE]
    sign_folder(folder, key)
    ours = said(folder, key)
    assert ours.name == theirs.name
    assert sorted(ours.resources) == sorted(theirs.resources)
    assert sorted(ours.ignored) == sorted(theirs.ignored)


@pytest.mark.parametrize("change", CHANGES)
def test_teapot_notices_a_change_of_what_the_tool_signed(
    tool: Tool, folder: Path, key: PrivateKey, change: Callable[[Path], None]
) -> None:
    tool.sign(folder)
    change(folder)
    assert check_folder(folder, said(folder, key))[0].status is Status.FAULT


def test_file_that_the_tool_was_told_to_ignore_is_a_fault_where_it_counts(
    tool: Tool, folder: Path, key: PrivateKey
) -> None:
    tool.sign(folder, "--ignore-paths", str(folder / "config.json"))
    (folder / "config.json").write_bytes(b"evil")
    assert tool.verify(folder).returncode == 0
    files, coverage, left_out = check_folder(folder, said(folder, key), must_cover=["config.json"])
    assert (files.status, coverage.status) == (Status.OK, Status.FAULT)
    assert "config.json is ignored by the signature" in left_out.details[0]
