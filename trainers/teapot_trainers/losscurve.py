"""The loss over the steps, as an SVG that needs nothing to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 800, 360, 64, 16, 24, 40
_GRID = 4


def loss_curve(losses: Sequence[tuple[int, float]]) -> str:
    """Return a picture of (step, loss) pairs; an empty one says so."""
    body = _curve(losses) if losses else _text(_WIDTH / 2, _HEIGHT / 2, "no step", "middle")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{body}</svg>\n'
    )


def _curve(losses: Sequence[tuple[int, float]]) -> str:
    first, last = losses[0][0], max(losses[-1][0], losses[0][0] + 1)
    low, high = min(loss for _, loss in losses), max(loss for _, loss in losses)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5

    def x(step: float) -> float:
        return _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(loss: float) -> float:
        return _TOP + (high - loss) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    lines = []
    for part in range(_GRID + 1):
        loss = low + (high - low) * part / _GRID
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" '
            'stroke="#ddd"/>\n' + _text(_LEFT - 8, y(loss) + 4, f"{loss:.3f}", "end")
        )
    points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in losses)
    lines.append(f'<polyline points="{points}" fill="none" stroke="#2c7a3d" stroke-width="1.5"/>\n')
    lines.append(_text(_LEFT, _HEIGHT - 14, f"step {first}", "start"))
    lines.append(_text(_WIDTH - _RIGHT, _HEIGHT - 14, f"step {losses[-1][0]}", "end"))
    lines.append(_text(_LEFT, 16, "training loss, mean over the trained tokens of a step", "start"))
    return "".join(lines)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{text}</text>\n'
