"""The loss over the steps as a picture: as SVG that needs nothing to be drawn, and as PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 800, 360, 64, 16, 24, 40
_GRID = 4
_TITLE = "training loss, mean over the trained tokens of a step"
_RULE, _CURVE, _INK = "#dddddd", "#2c7a3d", "#333333"
_SCALE = 2  # PNG pixels for each unit, so that it is sharp on dense screens


@dataclass(frozen=True, slots=True)
class _Line:
    points: tuple[tuple[float, float], ...]
    color: str
    width: float


@dataclass(frozen=True, slots=True)
class _Text:
    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"]


def svg_of(losses: Sequence[tuple[int, float]]) -> bytes:
    """Return a picture of (step, loss) pairs; an empty one says so."""
    parts = "".join(
        _svg_text(shape) if isinstance(shape, _Text) else _svg_line(shape)
        for shape in _shapes(losses)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{parts}</svg>\n'
    ).encode()


def png_of(losses: Sequence[tuple[int, float]]) -> bytes:
    """Return the same picture for what shows no SVG."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12 * _SCALE)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for shape in _shapes(losses):
        if isinstance(shape, _Text):
            place = shape.x * _SCALE, shape.y * _SCALE
            draw.text(place, shape.text, fill=_INK, font=font, anchor=anchors[shape.anchor])
        else:
            points = [(x * _SCALE, y * _SCALE) for x, y in shape.points]
            width = max(round(shape.width * _SCALE), 1)
            draw.line(points, fill=shape.color, width=width, joint="curve")
    made = io.BytesIO()
    image.save(made, "PNG", optimize=True)
    return made.getvalue()


def _shapes(losses: Sequence[tuple[int, float]]) -> Iterator[_Line | _Text]:
    if not losses:
        yield _Text(_WIDTH / 2, _HEIGHT / 2, "no step", "middle")
        return
    first, last = losses[0][0], max(losses[-1][0], losses[0][0] + 1)
    low, high = min(loss for _, loss in losses), max(loss for _, loss in losses)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5

    def place(step: float, loss: float) -> tuple[float, float]:
        x = _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)
        return x, _TOP + (high - loss) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    for part in range(_GRID + 1):
        loss = low + (high - low) * part / _GRID
        _, y = place(first, loss)
        yield _Line(((_LEFT, y), (_WIDTH - _RIGHT, y)), _RULE, 1)
        yield _Text(_LEFT - 8, y + 4, f"{loss:.3f}", "end")
    yield _Line(tuple(place(step, loss) for step, loss in losses), _CURVE, 1.5)
    yield _Text(_LEFT, _HEIGHT - 14, f"step {first}", "start")
    yield _Text(_WIDTH - _RIGHT, _HEIGHT - 14, f"step {losses[-1][0]}", "end")
    yield _Text(_LEFT, 16, _TITLE, "start")


def _svg_line(line: _Line) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
    return (
        f'<polyline points="{points}" fill="none" stroke="{line.color}" '
        f'stroke-width="{line.width}"/>\n'
    )


def _svg_text(text: _Text) -> str:
    return (
        f'<text x="{text.x:.1f}" y="{text.y:.1f}" text-anchor="{text.anchor}" '
        f'fill="{_INK}">{text.text}</text>\n'
    )
