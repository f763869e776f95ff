"""The package: what it lists, what it ships, how fast it starts to import."""

from __future__ import annotations

import configparser
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import teapot

REPOSITORY = Path(__file__).parent.parent


def test_every_package_on_disk_is_listed() -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    places = dict(
        line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines()
    )
    found = {
        ".".join((name, *path.parent.relative_to(REPOSITORY / place).parts))
        for name, place in places.items()
        for path in (REPOSITORY / place).rglob("__init__.py")
    }
    assert found == listed


def test_shipped_configs_and_schemas_are_resources() -> None:
    configs = files("teapot_configs")
    assert configs.joinpath("demo.config").is_file()
    assert configs.joinpath("modules", "demo", "data", "consequence.jsonl").is_file()
    assert configs.joinpath("modules", "demo", "data", "exam.jsonl").is_file()
    assert files("teapot_schemas").joinpath("manifest.schema.json").is_file()


@pytest.mark.parametrize("command", ["import teapot", "from teapot.cli.app import teapot"])
def test_start_imports_nothing_heavy(command: str) -> None:
    heavy = (
        "numpy pyarrow rich jsonschema yaml huggingface_hub license_expression cryptography "
        "transformers jinja2 teapot_trainers"
    )
    script = f"{command}; import sys; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"


def test_public_names_are_all_there() -> None:
    for name in teapot.__all__:
        assert getattr(teapot, name) is not None
    teapot.compose  # noqa: B018 - asked for once more, after its module has been imported
    assert callable(teapot.compose) and callable(teapot.explain)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        teapot.nothing  # noqa: B018


def test_missing_extra_is_named(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from teapot.cli.app import run\n"
        f"sys.exit(run(['plan', {str(REPOSITORY / 'configs/demo.config')!r}, "
        f"'--tokenizer', {str(tmp_path)!r}]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "pip install 'teapot[tokens]'" in ran.stderr
