"""`docs/launchers`: every file is well-formed, and every option in it exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

from teapot.cli.train import train
from tests.support.fitjobs import STEPS, ready_folder
from tests.support.tinymodels import write_tiny_model

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/launchers").glob("*.md"))
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, kind: str) -> list[str]:
    """Return the code blocks of a kind in a page."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [re.sub(f"^{space}", "", text, flags=re.MULTILINE)
            for space, name, text in found if name == kind]  # fmt: skip


def scripts(page: Path) -> list[str]:
    """Return all shell of a page, that in a task of SkyPilot's too."""
    tasks = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    inner = [task[part] for task in tasks for part in ("setup", "run")]
    return [*blocks(page, "sh"), *blocks(page, "bash"), *inner]


def commands(page: Path, program: str) -> list[list[str]]:
    """Return the arguments of each call of a program in a page."""
    lines = "\n".join(scripts(page)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "<<" not in line]
    return [line[line.index(program) + 1 :] for line in words if program in line]


def test_there_is_a_page_for_each_launcher() -> None:
    names = ["accelerate", "ray-train", "skypilot", "slurm", "torchrun"]
    assert [page.stem for page in PAGES] == names
    overview = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    assert all(f"launchers/{name}.md" in overview for name in names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_shell_is_shell_and_options_exist(page: Path) -> None:
    for script in scripts(page):
        ran = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True,
                             check=False)  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, ""), script
    stages = [line[1:] for line in commands(page, "teapot") if line[0] == "train"]
    assert [line[-1] for line in stages] == ["--prepare", "--finish"]
    for line in stages:
        made = train.make_context("train", [*line, "--quiet"], resilient_parsing=True)
        assert made.params["name"] == "apertus" and made.params["output"] is not None
    for line in commands(page, "torchrun"):
        number = {"$SLURM_GPUS_ON_NODE": "2", "$SKYPILOT_NODE_RANK": "1"}
        given = get_args_parser().parse_args([number.get(word, word) for word in line])
        assert (given.module, given.training_script) == (True, "teapot_trainers.run")
    for line in commands(page, "accelerate"):
        words = [word.replace("$MACHINE", "1") for word in line[1:]]
        chosen = launch_command_parser().parse_args(words)
        assert (chosen.module, chosen.training_script) == (True, "teapot_trainers.run")
    for text in blocks(page, "python"):
        compile(text, page.name, "exec")


def test_a_task_of_skypilot_has_known_fields() -> None:
    (text,) = blocks(ROOT / "docs/launchers/skypilot.md", "yaml")
    task = yaml.safe_load(text)
    assert task.keys() == {
        "name", "resources", "num_nodes", "envs", "file_mounts", "setup", "run"
    }  # fmt: skip
    assert task["envs"]["PLAN"].startswith(next(iter(task["file_mounts"])))
    asked = set(re.findall(r"\$(\w+)", task["run"])) - {"head"}
    assert asked == {
        "PLAN", "SKYPILOT_NODE_IPS", "SKYPILOT_NODE_RANK", "SKYPILOT_NUM_GPUS_PER_NODE",
        "SKYPILOT_NUM_NODES",
    }  # fmt: skip


def test_the_batch_script_of_slurm_starts_a_run(tmp_path: Path) -> None:
    """One machine stands for the cluster: `srun` runs its command here, once."""
    plan = ready_folder(tmp_path / "one", write_tiny_model(tmp_path / "tiny", "apertus"))
    (text,) = blocks(ROOT / "docs/launchers/slurm.md", "bash")
    (tmp_path / "teapot.sbatch").write_text(text)
    tools = {
        "scontrol": "#!/bin/bash\necho localhost\n",
        "srun": '#!/bin/bash\nshift\nexec "$@"\n',
        "torchrun": f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n',
    }
    for name, script in tools.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    ran = subprocess.run(
        ["bash", str(tmp_path / "teapot.sbatch"), str(plan)], capture_output=True, text=True,
        env={
            **os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "SLURM_JOB_NODELIST": "localhost", "SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "2",
            "SLURM_JOB_ID": "7", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        }, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert len(plan.with_name("metrics.jsonl").read_text().splitlines()) == STEPS
    last = tmp_path / "one" / ".work" / f"checkpoint-{STEPS}"
    assert len(list(last.glob("process-*"))) == 2
