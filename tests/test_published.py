"""What this repository publishes is signed by its own key and is made again, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

import teapot
from teapot.cli.app import run

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "manifests").glob("*.manifest.json"))


def test_the_demo_is_published() -> None:
    assert "demo.manifest.json" in [path.name for path in MANIFESTS]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_published_manifest_is_signed_and_composed_again(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # only the committed key is trusted
    (found,) = teapot.verify(manifest, options=teapot.VerifyOptions(rebuild=True))
    status = {result.name: result.status for result in found.results}
    assert found.is_ok, found.results
    assert (status["signature"], status["payload"], status["rebuild"]) == ("ok", "ok", "ok")


def test_composed_demo_has_the_published_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # CI pins license-expression, whose version stands in the manifest.
    made = teapot.compose(ROOT / "configs" / "demo.config", output=tmp_path / "demo.jsonl")
    published = (ROOT / "manifests" / "demo.manifest.json").read_bytes()
    assert made.paths.manifest.read_bytes() == published


def test_a_demo_of_other_bytes_is_told_from_the_published_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    output = tmp_path / "demo.jsonl"
    config = str(ROOT / "configs" / "demo.config")
    assert run(["compose", config, "-o", str(output), "--seed", "7", "--quiet"]) == 0
    capfd.readouterr()
    assert run(["verify", str(output)]) == 1
    shown = capfd.readouterr().out
    assert "FAULT       published: " in shown
    assert "recipe.seed: expected 42, found 7" in shown
