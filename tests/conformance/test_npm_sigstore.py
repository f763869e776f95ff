"""The Sigstore packages of npm take our bundles for what they are, and we take theirs.

The packages are installed once, from the registry that npm is set up with, into
`build/conformance/npm`; `TEAPOT_CONFORMANCE` names another folder than `build/conformance`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import teapot
from teapot.bundle import Bundle
from teapot.signing import PrivateKey, PublicKey
from tests.support.keys import key

pytestmark = pytest.mark.conformance

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
# Read at import, for every test runs without the developer's TEAPOT_ variables.
FOLDER = Path(os.environ.get("TEAPOT_CONFORMANCE", REPOSITORY / "build" / "conformance")) / "npm"
PACKAGES = HERE / "package.json"
REFUSED = 3
SIGNER = key(1)
STRANGER = key(2)


def tool(name: str) -> str:
    """Return the path of a tool of the system, or fail."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed; the conformance tests need Node.js 20.17 or newer")
    return path


@dataclass(frozen=True, slots=True)
class Npm:
    """The packages, as they are asked by `sigstore.mjs`."""

    files: Path

    def verify(self, bundle: bytes, public: PublicKey) -> dict[str, Any]:
        """Return what the verifier said."""
        return self._asked("verify", self._file("bundle", bundle), public.to_pem())

    def rewrite(self, bundle: bytes) -> dict[str, Any]:
        """Return a bundle as the packages read and write it."""
        return self._asked("rewrite", self._file("bundle", bundle))

    def sign(self, payload: bytes, private: PrivateKey) -> dict[str, Any]:
        """Return a bundle that the packages made."""
        return self._asked("sign", self._file("payload", payload), private.to_pem())

    def _file(self, name: str, data: bytes) -> Path:
        (self.files / name).write_bytes(data)
        return self.files / name

    def _asked(self, command: str, file: Path, pem: bytes = b"") -> dict[str, Any]:
        script = (HERE / "sigstore.mjs", FOLDER, command, file, self._file("key.pem", pem))
        done = subprocess.run([tool("node"), *script], check=False, capture_output=True, text=True)
        assert done.returncode in {0, REFUSED}, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == REFUSED) == ("refused" in said)
        return said


def installed() -> dict[str, str]:
    """Return the versions that lie in the folder, of the packages that are wanted."""
    found = {}
    for name in json.loads(PACKAGES.read_bytes())["dependencies"]:
        path = FOLDER / "node_modules" / name / "package.json"
        found[name] = json.loads(path.read_bytes())["version"] if path.exists() else "missing"
    return found


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Install the packages at exactly the versions wanted, unless they lie there already."""
    wanted = json.loads(PACKAGES.read_bytes())["dependencies"]
    if installed() != wanted:
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGES, FOLDER / "package.json")
        flags = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(
            [tool("npm"), "install", *flags, "--loglevel=error"], cwd=FOLDER, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"npm could not install the packages:\n{done.stdout}"
    assert installed() == wanted


@pytest.fixture
def npm(tmp_path: Path) -> Npm:
    return Npm(tmp_path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bundle over the manifest of the demo."""
    data = tmp_path_factory.mktemp("composition") / "demo.jsonl"
    made = teapot.compose(REPOSITORY / "configs" / "demo.config", output=data)
    return Bundle.sign(made.paths.manifest.read_bytes(), SIGNER).to_bytes()


def test_our_bundle_is_accepted_and_its_hint_names_our_key(npm: Npm, real: bytes) -> None:
    assert npm.verify(real, SIGNER.public) == {"hint": SIGNER.public.fingerprint}


def test_our_bundle_is_refused_under_another_key(npm: Npm, real: bytes) -> None:
    assert npm.verify(real, STRANGER.public) == {"refused": "SIGNATURE_ERROR"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda bundle: replace(bundle, payload=bundle.payload[:-1] + b" "),
        lambda bundle: replace(bundle, payload=b"1" + bundle.payload[1:]),
        lambda bundle: replace(bundle, payload=bundle.payload + b"\n"),
        lambda bundle: replace(bundle, payload_type="application/vnd.other+json"),
        lambda bundle: replace(
            bundle, signature=bundle.signature[:-1] + bytes([bundle.signature[-1] ^ 1])
        ),
        lambda bundle: replace(bundle, signature=bundle.signature[:-1]),
        lambda bundle: replace(bundle, signature=SIGNER.sign(bundle.payload)),
    ],
)
def test_an_altered_bundle_is_refused(
    npm: Npm, real: bytes, edit: Callable[[Bundle], Bundle]
) -> None:
    altered = edit(Bundle.parse(real)).to_bytes()
    assert npm.verify(altered, SIGNER.public) == {"refused": "SIGNATURE_ERROR"}


@pytest.mark.parametrize("part", ["mediaType", "verificationMaterial", "dsseEnvelope"])
def test_a_bundle_with_a_part_missing_is_refused(npm: Npm, real: bytes, part: str) -> None:
    root = json.loads(real)
    del root[part]
    assert npm.verify(json.dumps(root).encode(), SIGNER.public) == {"refused": "ValidationError"}


def test_our_bundle_passes_through_npm_unchanged(npm: Npm, real: bytes) -> None:
    rewritten = json.dumps(npm.rewrite(real)).encode()
    assert Bundle.parse(rewritten) == Bundle.parse(real)


def test_a_bundle_that_npm_made_is_ours_too(npm: Npm) -> None:
    payload = '{"é": "€"}\n'.encode()
    bundle = Bundle.parse(json.dumps(npm.sign(payload, SIGNER)).encode())
    assert (bundle.payload, bundle.hint) == (payload, "made by npm")
    assert SIGNER.public.has_signed(bundle.message, bundle.signature)
    assert not STRANGER.public.has_signed(bundle.message, bundle.signature)
