"""The lean xIELU against the library's: values, gradients, and what autograd keeps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install -e '.[train]' brings torch")
transformers = pytest.importorskip("transformers")

from torch.utils.checkpoint import checkpoint  # noqa: E402 - only with torch
from transformers.activations import XIELUActivation  # noqa: E402 - likewise

from teapot_trainers.xielu import LeanXIELU, use_lean_xielu  # noqa: E402 - likewise

BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}
FORMATS = [pytest.param(dtype, id=str(dtype)[6:]) for dtype in BITS]
EDGES = [0.0, -0.0, -1e-6, -1e-7, 1e-7, -1e-30, -0.5, 0.5, -88.0, 60.0, -3e4, 1e-3, -1e-3]
MIXES = [
    pytest.param(torch.float32, torch.bfloat16, id="bfloat16 input"),
    pytest.param(torch.bfloat16, torch.float32, id="bfloat16 parameters"),
    pytest.param(torch.float32, torch.float16, id="float16 input"),
]


def pair(dtype: Any, alpha_p: float = 0.7, alpha_n: float = 1.3) -> tuple[Any, Any]:
    """Return the library's module and a lean one on a copy of its parameters."""
    library = XIELUActivation(alpha_p_init=alpha_p, alpha_n_init=alpha_n, dtype=dtype)
    return library, LeanXIELU(copy.deepcopy(library))


def inputs(dtype: Any, shape: tuple[int, ...] = (3, 70, 128)) -> Any:
    """Return values over many magnitudes; the edges come first."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator) * torch.logspace(-4, 1, shape[-1])
    x.view(-1)[: len(EDGES)] = torch.tensor(EDGES)
    return x.to(dtype)


def gradients(module: Any, x: Any) -> list[Any]:
    """Return the gradients of x and of both parameters for one random gradient of the value."""
    leaf = x.clone().requires_grad_()
    value = module(leaf * 1)  # not a leaf, as in a model
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(value.dtype)
    return list(torch.autograd.grad(value, [leaf, module.alpha_p, module.alpha_n], upstream))


def kept_bytes(module: Any, x: Any) -> tuple[int, list[Any]]:
    """Return the bytes of all that autograd keeps for `module`, and the tensors, each once."""
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), list(kept.values())


def same_bits(left: Any, right: Any) -> bool:
    return left.dtype == right.dtype and torch.equal(
        left.view(BITS[left.dtype]), right.view(BITS[right.dtype])
    )


def tiny_apertus() -> Any:
    config = transformers.ApertusConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    transformers.set_seed(3)
    return transformers.ApertusForCausalLM(config)


IDS = torch.arange(2 * 16).reshape(2, 16)


@pytest.mark.parametrize("dtype", FORMATS)
def test_values_are_the_librarys_to_the_bit(dtype: Any) -> None:
    library, lean = pair(dtype)
    x = inputs(dtype)
    assert same_bits(lean(x), library(x))


@pytest.mark.parametrize("dtype", FORMATS)
def test_gradients_are_the_librarys_to_the_bit(dtype: Any) -> None:
    library, lean = pair(dtype)
    x = inputs(dtype)
    for own, expected in zip(gradients(lean, x), gradients(library, x), strict=True):
        assert same_bits(own, expected)


def test_what_is_not_finite_is_treated_as_in_the_library() -> None:
    library, lean = pair(torch.float32)
    x = torch.tensor([float("nan"), float("inf"), float("-inf")])
    torch.testing.assert_close(lean(x), library(x), rtol=0, atol=0, equal_nan=True)


def test_gradients_are_the_derivatives() -> None:
    _, lean = pair(torch.float64)
    x = inputs(torch.float64, (2, 3, 16))
    x = torch.where((x.abs() < 1e-3), x + 0.01, x.clamp(-8, 8)).requires_grad_()
    parameters = (lean.alpha_p, lean.alpha_n)

    def value(x: Any, alpha_p: Any, alpha_n: Any) -> Any:
        own = {"alpha_p": alpha_p, "alpha_n": alpha_n}
        return torch.func.functional_call(lean, own, (x,))

    assert torch.autograd.gradcheck(value, (x, *parameters))


@pytest.mark.parametrize(("parameters", "input_dtype"), MIXES)
def test_mixed_dtypes_are_rounded_where_the_library_rounds(
    parameters: Any, input_dtype: Any
) -> None:
    library, lean = pair(parameters)
    x = inputs(input_dtype)
    assert same_bits(lean(x), library(x))
    for own, expected in zip(gradients(lean, x), gradients(library, x), strict=True):
        assert same_bits(own, expected)


class CudaAutocast(torch.nn.Module):
    """Takes softplus and expm1 to float32 in the forward pass, as autocast does on CUDA alone."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.alpha_p, self.alpha_n = inner, inner.alpha_p, inner.alpha_n

    def forward(self, x: Any) -> Any:
        expm1, softplus = torch.expm1, torch.nn.functional.softplus
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "expm1", lambda x: expm1(x.float()))
            patch.setattr(torch.nn.functional, "softplus", lambda x: softplus(x.float()))
            return self.inner(x)


def test_the_casts_of_autocast_on_cuda_are_followed() -> None:
    library, lean = (CudaAutocast(module) for module in pair(torch.bfloat16))
    x = inputs(torch.bfloat16)
    assert lean(x).dtype == torch.float32
    assert same_bits(lean(x), library(x))
    for own, expected in zip(gradients(lean, x), gradients(library, x), strict=True):
        assert same_bits(own, expected)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("is_frozen", [True, False], ids=["lora", "full"])
def test_autograd_keeps_the_input_and_scalars(dtype: Any, is_frozen: bool) -> None:
    library, lean = pair(dtype)
    for module in (library, lean):
        module.requires_grad_(not is_frozen)
    x = inputs(dtype).requires_grad_()
    size, kept = kept_bytes(lean, x)
    assert [tensor.data_ptr() for tensor in kept if tensor.numel() > 1] == [x.data_ptr()]
    assert size <= x.nbytes + 7 * x.itemsize  # αp, αn, β, ε, and in full training their softplus
    assert kept_bytes(library, x)[0] > 3 * size


def test_frozen_parameters_get_no_gradient() -> None:
    _, lean = pair(torch.float32)
    lean.requires_grad_(False)
    x = inputs(torch.float32).requires_grad_()
    lean(x).sum().backward()
    assert x.grad is not None
    assert lean.alpha_p.grad is None
    assert lean.alpha_n.grad is None


def test_parameters_are_trained_when_the_input_is_not() -> None:
    library, lean = pair(torch.float32)
    x = inputs(torch.float32)
    for module in (library, lean):
        module(x).sum().backward()
    assert same_bits(lean.alpha_p.grad, library.alpha_p.grad)
    assert same_bits(lean.alpha_n.grad, library.alpha_n.grad)


def test_nothing_is_kept_without_gradients() -> None:
    library, lean = pair(torch.bfloat16)
    x = inputs(torch.bfloat16)
    with torch.no_grad():
        value = lean(x)
    assert value.grad_fn is None
    assert same_bits(value, library(x))


def test_a_gradient_of_the_gradient_is_refused() -> None:
    _, lean = pair(torch.float32)
    x = inputs(torch.float32).requires_grad_()
    (slope,) = torch.autograd.grad(lean(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_checkpointing_changes_no_bit() -> None:
    _, lean = pair(torch.bfloat16)
    x = inputs(torch.bfloat16)

    class Checkpointed(torch.nn.Module):
        alpha_p, alpha_n = lean.alpha_p, lean.alpha_n

        def forward(self, x: Any) -> Any:
            return checkpoint(lean, x, use_reentrant=False)

    for own, expected in zip(gradients(Checkpointed(), x), gradients(lean, x), strict=True):
        assert same_bits(own, expected)


def test_every_layer_is_swapped_once_and_names_stay() -> None:
    model = tiny_apertus()
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    trained = [name for name, _ in model.named_parameters()]
    assert use_lean_xielu(model) == 3
    assert use_lean_xielu(model) == 0
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == before
    assert [name for name, _ in model.named_parameters()] == trained


def test_a_model_without_xielu_is_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.SiLU())
    assert use_lean_xielu(model) == 0
    assert isinstance(model[1], torch.nn.SiLU)


@pytest.mark.parametrize("is_autocast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("is_checkpointed", [False, True], ids=["kept", "checkpointed"])
def test_a_model_learns_the_same(is_autocast: bool, is_checkpointed: bool) -> None:
    model = tiny_apertus().train()
    if is_checkpointed:
        model.activation_checkpointing_enable({"use_reentrant": False})
    found = []
    for swap in (False, True):
        assert not swap or use_lean_xielu(model) == 3
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            output = model(IDS, labels=IDS, use_cache=False)
        output.loss.backward()
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        found.append((output.logits.detach(), grads))
    (logits, grads), (lean_logits, lean_grads) = found
    assert torch.equal(logits, lean_logits)
    for name, grad in grads.items():
        assert torch.equal(lean_grads[name], grad), name


def test_a_swapped_model_is_saved_and_loaded_as_ever(tmp_path: Path) -> None:
    model = tiny_apertus().eval()
    expected = model(IDS).logits
    use_lean_xielu(model)
    model.save_pretrained(tmp_path)
    again = transformers.ApertusForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(IDS).logits, expected)
