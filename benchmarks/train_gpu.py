"""How near does a QLoRA step of an 8B model come to the FLOP that it cannot do without?

    pip install -e '.[train]'
    python benchmarks/train_gpu.py [--models apertus llama] [--checkpointing off on]
        [--xielu library lean] [--rows 1 2 4] [--autocast on] [--steps 20] [--runs 2]
    python benchmarks/train_gpu.py --device cpu --tiny    # all of it in small, without a GPU
    python benchmarks/train_gpu.py --kept                 # what autograd keeps of xIELU, on a CPU

Needs one GPU of about 80 GB for all of it, and nothing from the network: the weights are random, in
the shapes of Apertus 8B and Llama 3.1 8B. One matrix at a time is made in bf16 and quantised (NF4,
double quantisation), so the bf16 model is never held. LoRA is the recipe's; its targets are read
from the base. A step is forward, backward and AdamW on rows of random tokens without padding, all
of them trained. Each line is a process of its own. After two steps of warm-up `--runs` times
`--steps` steps are timed, and the best run counts.

The floor is the time of 4 FLOP for each frozen parameter and token: 2 forward and 2 for the
gradient of the inputs; with checkpointing 6 in the layers, which run forward twice. The embedding
is no matrix product. Attention, LoRA and all that is elementwise are not in the floor. FLOP become
time at the speed of a large bf16 matrix product, measured first on the same device. The claims are
the ratios to the floor, and those between lines. Memory is the allocator's peak in GB of 10^9
bytes: of building the model, and of the steps; on a CPU it is the whole process's, and says little.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

_ROOT = Path(__file__).parents[1]
_TRAINERS = _ROOT / "trainers" / "teapot_trainers"
_SEED, _LORA_R, _LORA_ALPHA, _LORA_DROPOUT, _LEARNING_RATE = 42, 64, 128, 0.05, 2e-4
_WARMUP_STEPS = 2
_SPREAD = 0.02
_GIGABYTE, _TERA = 1e9, 1e12
_LIMIT_SECONDS = 1800
_SHAPES: Mapping[str, Mapping[str, int]] = {
    "apertus": {"intermediate_size": 21504, "vocab_size": 131072},
    "llama": {"intermediate_size": 14336, "vocab_size": 128256},
}
_SHARED = {
    "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8,
}  # fmt: skip
_TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 256,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One line of the table."""

    model: str
    checkpointing: bool
    xielu: str
    rows: int
    autocast: bool
    length: int
    steps: int
    runs: int
    device: str
    tiny: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a line measured; `floor_flop` is for one token."""

    tokens_per_second: float
    floor_flop: float
    build_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A line has no figures, and why."""

    reason: str


def main() -> None:
    """Print the table, or do one job of it where the command line holds one."""
    arguments = _arguments()
    if arguments.job:
        print(json.dumps(_answer(Job(**json.loads(arguments.job)))))
    elif arguments.kept:
        _print_kept()
    else:
        _print_table(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time QLoRA steps against their floor of FLOP.")
    parser.add_argument("--models", nargs="+", choices=list(_SHAPES), default=list(_SHAPES))
    parser.add_argument("--checkpointing", nargs="+", choices=["off", "on"], default=["off", "on"])
    parser.add_argument(
        "--xielu", nargs="+", choices=["library", "lean"], default=["library", "lean"]
    )
    parser.add_argument("--autocast", nargs="+", choices=["on", "off"], default=["on"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--length", type=int, help="tokens of a row: 4096, or 64 when tiny")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to see that it works")
    parser.add_argument("--kept", action="store_true", help="only what autograd keeps of xIELU")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Yield the lines; a model without xIELU has one where the others have two."""
    length = arguments.length or (64 if arguments.tiny else 4096)
    for model, checkpointing, autocast, rows in itertools.product(
        arguments.models, arguments.checkpointing, arguments.autocast, arguments.rows
    ):
        for xielu in arguments.xielu if model == "apertus" else ["none"]:
            yield Job(
                model=model, checkpointing=checkpointing == "on", xielu=xielu, rows=rows,
                autocast=autocast == "on", length=length, steps=arguments.steps,
                runs=arguments.runs, device=arguments.device, tiny=arguments.tiny,
            )  # fmt: skip


def _print_table(arguments: argparse.Namespace) -> None:
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU; --device cpu --tiny shows that the benchmark runs")
    peak = _matrix_flop_per_second(device, 512 if arguments.tiny else 8192)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the lines are other processes on the same device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    day = time.strftime("%Y-%m-%d", time.gmtime())
    print(f"{day}, {name}, torch {torch.__version__}, bf16 product: {peak / _TERA:.3g} TFLOP/s")
    print(
        "model    checkpointing  xIELU    autocast  rows  tokens/s  x floor  build GB  peak GB",
        flush=True,
    )
    for job in _jobs(arguments):
        result = _in_own_process(job)
        print(f"{_line_start(job)}  {_figures(result, peak)}", flush=True)


def _line_start(job: Job) -> str:
    checkpointing, autocast = (
        "on" if flag else "off" for flag in (job.checkpointing, job.autocast)
    )
    return f"{job.model:<7}  {checkpointing:<13}  {job.xielu:<7}  {autocast:<8}  {job.rows:>4}"


def _figures(result: Result | Failed, peak: float) -> str:
    if isinstance(result, Failed):
        return result.reason
    ratio = peak / (result.tokens_per_second * result.floor_flop)
    build, most = result.build_bytes / _GIGABYTE, result.peak_bytes / _GIGABYTE
    return f"{result.tokens_per_second:>8,.0f}  {ratio:>7.2f}  {build:>8.1f}  {most:>7.1f}"


def _matrix_flop_per_second(device: torch.device, size: int) -> float:
    """Return the best speed of a square bf16 product among five rounds of ten, after one."""
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))

    def ten_products() -> None:
        for _ in range(10):
            left @ right

    ten_products()
    seconds = min(_seconds(ten_products, device) for _ in range(5))
    return 10 * 2 * size**3 / seconds


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _in_own_process(job: Job) -> Result | Failed:
    command = [sys.executable, __file__, "--job", json.dumps(asdict(job))]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Failed(f"not done after {_LIMIT_SECONDS} s")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        return Failed(f"exit {done.returncode}: {said[-1][:160]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Failed(answer["failed"]) if "failed" in answer else Result(**answer)


def _answer(job: Job) -> dict[str, Any]:
    """Return the figures of one line as JSON's values, or why there are none."""
    try:
        return asdict(_run(job))
    except (torch.OutOfMemoryError, MemoryError):
        return {"failed": "out of memory"}


def _run(job: Job) -> Result:
    """Build the model, warm up, and time the steps."""
    device = torch.device(job.device)
    torch.manual_seed(_SEED)
    model = _quantised_model(job, device)
    floor_flop = _floor_flop(model, checkpointing=job.checkpointing)
    model = _adapted(model, job)
    build_bytes = _peak_bytes(device)
    step = _step(model, job, device)
    for _ in range(_WARMUP_STEPS):
        step()

    def all_steps() -> None:
        for _ in range(job.steps):
            step()

    seconds = min(_seconds(all_steps, device) for _ in range(job.runs))
    if not math.isfinite(step()):
        raise ArithmeticError("the loss is not finite")
    return Result(
        tokens_per_second=job.rows * job.length * job.steps / seconds, floor_flop=floor_flop,
        build_bytes=build_bytes, peak_bytes=_peak_bytes(device),
    )  # fmt: skip


def _peak_bytes(device: torch.device) -> int:
    """Return the peak since the last call, or of the process's whole life on a CPU."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak: int = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def _quantised_model(job: Job, device: torch.device) -> Any:
    """Return a model of random weights whose layers are NF4; it is never whole in bf16."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.activations import XIELUActivation

    shape = {**_SHARED, **_SHAPES[job.model], **(_TINY if job.tiny else {})}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    config = AutoConfig.for_model(job.model, dtype=torch.bfloat16, **shape, **tokens)
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    for parent in list(model.model.layers.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(parent, name, _nf4(child, device))
            elif isinstance(child, XIELUActivation):
                setattr(parent, name, XIELUActivation(dtype=torch.bfloat16))
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                setattr(module, name, torch.nn.Parameter(_random(parameter, device)))
    model.config.use_cache = False
    return model.to(device).requires_grad_(requires_grad=False)


def _nf4(linear: torch.nn.Linear, device: torch.device) -> torch.nn.Module:
    """Return a quantised layer of random weights in the shape of `linear`."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    layer = Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=torch.bfloat16,
        compress_statistics=True, quant_type="nf4", device="meta",
    )  # fmt: skip
    layer.support_avx512bf16_for_cpu = False  # the plain packing, as in training
    layer.weight = Params4bit(
        _random(linear.weight, device), requires_grad=False, compress_statistics=True,
        quant_type="nf4", module=layer,
    ).to(device)  # fmt: skip
    return layer


def _random(parameter: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return ones for a norm, and for a matrix what such models begin with."""
    if parameter.dim() == 1:
        return torch.ones(parameter.shape, dtype=torch.bfloat16, device=device)
    return torch.randn(parameter.shape, dtype=torch.bfloat16, device=device).mul_(_SPREAD)


def _floor_flop(model: Any, *, checkpointing: bool) -> float:
    """Return the FLOP for a token that frozen matrices ask for; needs the model without LoRA."""
    linears = [module for module in model.model.modules() if isinstance(module, torch.nn.Linear)]
    layers = sum(linear.in_features * linear.out_features for linear in linears)
    return (6 if checkpointing else 4) * layers + 4 * model.lm_head.weight.numel()


def _adapted(model: Any, job: Job) -> Any:
    """Return the model with fp32 LoRA on every target of its base, and what the job asks for."""
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    targets = _lora_targets(job.model)
    layers = model.config.num_hidden_layers
    swapped = _xielu().use_lean_xielu(model) if job.xielu == "lean" else layers
    model.is_loaded_in_4bit = True  # peft asks for it before it adapts a quantised layer
    set_seed(_SEED)
    lora = LoraConfig(
        r=_LORA_R, lora_alpha=_LORA_ALPHA, lora_dropout=_LORA_DROPOUT, target_modules=targets,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    adapted = get_peft_model(model, lora)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    if swapped != layers or len(trained) != 2 * layers * len(targets):
        raise ValueError(f"{swapped} xIELU, {len(trained)} LoRA matrices in {layers} layers")
    if any(parameter.dtype != torch.float32 for parameter in trained):
        raise TypeError("LoRA's weights are not fp32")
    if job.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return adapted.train()


def _step(model: Any, job: Job, device: torch.device) -> Callable[[], torch.Tensor]:
    """Return what trains one micro-batch and returns its loss, which stays on the device."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_LEARNING_RATE, fused=device.type == "cuda")
    vocabulary = model.config.vocab_size
    ids = torch.randint(vocabulary, (job.rows, job.length), device=device)

    def step() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=job.autocast):
            loss: torch.Tensor = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def _lora_targets(base: str) -> list[str]:
    import yaml

    text = (_TRAINERS / "bases" / base / "base.yaml").read_text(encoding="utf-8")
    targets: list[str] = yaml.safe_load(text)["lora_targets"]
    return targets


def _xielu() -> Any:
    """Return the trainers' module, by its path: their package asks for all that Teapot does."""
    specification = importlib.util.spec_from_file_location("_lean_xielu", _TRAINERS / "xielu.py")
    if specification is None or specification.loader is None:
        raise ImportError("trainers/teapot_trainers/xielu.py is not there")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _print_kept() -> None:
    """Print what autograd keeps for xIELU at Apertus' width, counted on the CPU."""
    from transformers.activations import XIELUActivation

    tokens, width = 128, _SHAPES["apertus"]["intermediate_size"]
    layers, length = _SHARED["num_hidden_layers"], 4096
    x = torch.randn(tokens, width, dtype=torch.bfloat16, requires_grad=True)
    print(
        "training  xIELU    bytes kept for an element (bf16 input: 2)  GB in 32 layers, 4096 tokens"
    )
    for training in ("lora", "full"):
        library = XIELUActivation(dtype=torch.bfloat16).requires_grad_(training == "full")
        for name, module in (("library", library), ("lean", _xielu().LeanXIELU(library))):
            each = _kept_bytes(module, x) / x.numel()
            total = each * width * length * layers / _GIGABYTE
            print(f"{training:<8}  {name:<7}  {each:>42.2f}  {total:>27.1f}")


def _kept_bytes(module: torch.nn.Module, x: torch.Tensor) -> int:
    """Return the bytes of the storages that autograd keeps for one call, each counted once."""
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


if __name__ == "__main__":
    main()
