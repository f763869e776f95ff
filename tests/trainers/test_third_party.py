"""The package that docs/bases.md shows, installed beside Teapot's own bases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.basepackage import documented_files, install, write_package

ROW = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes 🙂"}]}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    write_package(folder, "tea_base")
    install(folder, "tea_base")
    return folder


def teapot(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "teapot", *arguments], input=json.dumps(ROW), encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(packages)}, capture_output=True, check=False,
    )  # fmt: skip


def test_documented_files_are_all_of_it() -> None:
    assert set(documented_files()) == {
        "tea_base/base.yaml", "tea_base/training.jinja", "tea_base/__init__.py", "pyproject.toml"
    }  # fmt: skip


def test_base_of_another_package_is_listed_shown_and_rendered(packages: Path) -> None:
    listed = json.loads(teapot(packages, "bases", "list", "--json").stdout)
    assert [base["name"] for base in listed] == ["apertus", "chatml", "llama", "tea"]
    shown = json.loads(teapot(packages, "bases", "show", "tea", "--json").stdout)
    assert (shown["package"], shown["version"], shown["revision"]) == ("tea_base", "1.0", None)
    ran = teapot(packages, "render", "--base", "tea")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {
        "text": "<|im_start|>system\nYou are Tea.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nYes 🙂<|im_end|>\n",
        "supervised": ["Yes 🙂<|im_end|>"],
    }


def test_two_packages_with_one_base_are_refused(packages: Path) -> None:
    write_package(packages, "more_tea")
    install(packages, "more_tea")
    ran = teapot(packages, "render", "--base", "tea")
    message = (
        "error: the trainer plug-in 'tea' is provided by more_tea and tea_base; "
        "uninstall all but one\n"
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", message)
    listed = teapot(packages, "bases", "list")
    assert (listed.returncode, listed.stderr) == (2, message)
    assert "llama" in listed.stdout


def test_entry_point_bears_the_name_of_its_base(packages: Path) -> None:
    write_package(packages, "more_tea")
    install(packages, "more_tea", name="coffee")
    ran = teapot(packages, "render", "--base", "coffee")
    assert ran.returncode == 2
    assert ran.stderr == (
        "error: the trainer plug-in 'coffee' of more_tea is of the base 'tea'; "
        "give the entry point that name\n"
    )
