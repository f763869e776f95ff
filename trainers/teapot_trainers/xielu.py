"""xIELU, the activation of Apertus, for training: autograd keeps its input and nothing else.

The library writes the function as a dozen tensor operations, and autograd keeps what each needs:
several times the input, in every layer. Here the intermediate values are made again when the
gradient asks for them. Values and gradients are the library's own, bit for bit, in every dtype and
mix of dtypes: the same operations, rounded in the same order. So a fine-tune has the same weights
with and without it.

xIELU: Huang and Schlag 2025, arXiv:2411.13010; the library's form is `XIELUActivation` in
`transformers.activations`. Importing this module imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable


def use_lean_xielu(model: torch.nn.Module) -> int:
    """Replace every xIELU in `model` by a lean one on the same parameters; return how many.

    The names and the tensors of the state dict stay what they were, so saving and loading do not
    notice. A model without xIELU is left alone. The library's CUDA kernel, where it is installed,
    is replaced too.
    """
    from transformers.activations import XIELUActivation

    swapped = 0
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, XIELUActivation):
                setattr(parent, name, LeanXIELU(child))
                swapped += 1
    return swapped


class LeanXIELU(torch.nn.Module):  # type: ignore[misc] # torch is Any to mypy here
    """xIELU on the parameters and buffers of the library's module, under the same names."""

    def __init__(self, library: Any) -> None:
        super().__init__()
        self.alpha_p = library.alpha_p
        self.alpha_n = library.alpha_n
        self.register_buffer("beta", library.beta)
        self.register_buffer("eps", library.eps)
        self.train(library.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return xIELU of each element.

        The two softplus stay outside the function: they are of one element, and autocast and
        autograd treat them as they do in the library.
        """
        alpha_p = torch.nn.functional.softplus(self.alpha_p)
        alpha_n = self.beta + torch.nn.functional.softplus(self.alpha_n)
        value: torch.Tensor = _XIELU.apply(x, alpha_p, alpha_n, self.beta, self.eps)
        return value


class _XIELU(torch.autograd.Function):  # type: ignore[misc] # likewise
    """αp·x² + βx where x > 0, else αn·(expm1(min(x, ε)) − x) + βx."""

    @staticmethod
    def forward(  # noqa: PLR0913 - torch hands over every tensor by itself
        ctx: Any, x: torch.Tensor, alpha_p: torch.Tensor, alpha_n: torch.Tensor,
        beta: torch.Tensor, eps: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Return the value, rounded as the library rounds it: no step may be fused."""
        ctx.save_for_backward(x, alpha_p, alpha_n, beta, eps)
        curve = torch.expm1(torch.min(x, eps))
        ctx.curve_dtype = curve.dtype  # that of x, but under CUDA's autocast float32
        return torch.where(x > 0, alpha_p * x * x, (curve - x) * alpha_n) + beta * x

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator] # likewise
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, αp and αn, each only where it is asked for."""
        x, alpha_p, alpha_n, beta, eps = ctx.saved_tensors
        is_above = x > 0
        curve = torch.expm1(torch.min(x, eps).to(ctx.curve_dtype))
        grad_x = grad_p = grad_n = None
        if ctx.needs_input_grad[1]:
            terms = (grad * x).mul_(x).masked_fill_(~is_above, 0)
            grad_p = terms.sum_to_size(alpha_p.shape)
        if ctx.needs_input_grad[2]:
            terms = (grad * (curve - x)).masked_fill_(is_above, 0)
            grad_n = terms.sum_to_size(alpha_n.shape)
        if ctx.needs_input_grad[0]:
            linear = grad.to(x.dtype) * beta
            below = _add_below(linear, grad * alpha_n, curve.add_(1), step=_step(x, eps))
            grad_x = torch.where(is_above, _add_above(linear, grad, x, alpha_p), below)
        return grad_x, grad_p, grad_n, None, None


def _add_above(
    linear: torch.Tensor, grad: torch.Tensor, x: torch.Tensor, alpha_p: torch.Tensor
) -> torch.Tensor:
    """Return `linear` + grad · 2·αp·x, the product twice, as autograd adds it in the dtype of x."""
    slope = (alpha_p * x).mul_(grad).to(x.dtype).add_(linear)
    return slope.add_((grad * x).mul_(alpha_p).to(x.dtype))


def _add_below(
    linear: torch.Tensor, scaled: torch.Tensor, exponential: torch.Tensor, *, step: torch.Tensor
) -> torch.Tensor:
    """Return `linear` + scaled · (exponential · step − 1), rounded as autograd rounds it."""
    scaled = scaled.to(exponential.dtype)
    steep = exponential.mul_(scaled).to(linear.dtype).mul_(step)
    return (linear - scaled.to(linear.dtype)).add_(steep)


def _step(x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Return the derivative of min(x, ε), 1 below ε and 0 above; torch has one half at ε."""
    return torch.heaviside(eps.to(x.dtype) - x, x.new_tensor(0.5))
