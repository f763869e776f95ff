"""A real browser shows the page of `teapot mask --html` as it is meant to be read.

Chromium and what drives it are installed where they are missing; see `tests/support/browser.py`.
`TEAPOT_CONFORMANCE` names another folder than `build/conformance` for what npm installs.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from teapot.cli.app import run
from teapot.model.masked import MaskedRow
from teapot.plugins import load_trainer
from teapot.usecases.mask import MaskOptions, mask_line
from teapot.usecases.verify import VerifyOptions
from tests.support.browser import Shown, channels, show
from tests.support.compositions import compose
from tests.support.project import Row, chat_row, write_config, write_module
from tests.support.tokenizers import tokenizer_json

pytestmark = pytest.mark.conformance

REPOSITORY = Path(__file__).parents[2]
# Read at import, for every test runs without the developer's TEAPOT_ variables.
FOLDER = (
    Path(os.environ.get("TEAPOT_CONFORMANCE", REPOSITORY / "build" / "conformance")) / "browser"
)
BASE = "apertus"
READABLE_CONTRAST = 4.5
"""What WCAG 2.2 asks for text of this size (success criterion 1.4.3)."""

# Browsers never speak to port 9, so even a page that is wrong asks nobody.
EVIL = (
    '</span></pre><script>alert("tea")</script><img src="http://127.0.0.1:9/x.png" '
    'onerror="alert(1)"><iframe src="http://127.0.0.1:9/"></iframe><style>* { display: none }'
    "</style><svg onload=alert(2)><!-- ]]> &lt;b&gt; &#x3c; \"'"
)
TURNS = [
    {"role": "system", "content": "You pour tea."},
    {"role": "user", "content": "Why?\n\n  Two   spaces,\n\ta tab."},
    {"role": "assistant", "content": "<think>\nBecause.\n</think>\n\nSo."},
    {"role": "user", "content": "世界 རྫོང་ཁ अनु שלום e\u0301 👩🏽‍🔬"},
    {"role": "assistant", "content": "日本語 རྫོང་ཁ ñ 🙂, and a word that is " + "long" * 60 + "."},
]
ROWS: dict[str, Row] = {
    "plain": chat_row("plain", "What is green?", "Tea is."),
    "turns": {"id": "turns", "conversations": TURNS},
    "evil": chat_row("evil", EVIL, f"<think>{EVIL}</think>{EVIL}"),
}
CUTS = ("text", "tokens")
WHITE = "rgb(255, 255, 255)"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a data file: its turns, its pieces, and its page as it was shown."""

    messages: list[Any]
    row: MaskedRow
    shown: Shown


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Line]:
    """Every row, cut into text and cut into tokens, after one browser showed all pages."""
    folder = tmp_path_factory.mktemp("pages")
    trainer, _ = load_trainer(BASE)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer_json(trainer.base), encoding="utf-8")
    write_module(folder, "t/rows", list(ROWS.values()))
    data = compose(write_config(folder, {"t/rows": 1}), signed=False).paths.data
    masked, pages = {}, []
    for number, record in enumerate(map(json.loads, data.read_bytes().splitlines()), start=1):
        for cut, cutter in (("text", None), ("tokens", tokenizer)):
            options = MaskOptions(tokenizer=cutter, verify=VerifyOptions(allow_unsigned=True))
            row = mask_line(data, number, trainer, options)
            masked[record["id"], cut] = record["messages"], row
            pages.append(folder / f"{number}-{cut}.html")
            asked = ["mask", str(data), str(number), "--base", BASE, "--allow-unsigned"]
            asked += ["--tokenizer", str(cutter)] if cutter else []
            assert run([*asked, "--html", str(pages[-1])]) == 0
    shown = show(FOLDER, pages)
    return {key: Line(*masked[key], page) for key, page in zip(masked, shown, strict=True)}


@pytest.fixture(params=[(row, cut) for row in ROWS for cut in CUTS], ids="-".join)
def line(request: pytest.FixtureRequest, lines: dict[tuple[str, str], Line]) -> Line:
    return lines[request.param]


def test_a_reader_sees_the_text_that_the_base_writes(line: Line) -> None:
    assert line.shown.text == load_trainer(BASE)[0].render(line.messages).text


def test_a_reader_sees_every_piece_with_its_id(line: Line) -> None:
    wanted = [(piece.text, piece.id) for piece in line.row.pieces]
    assert [(piece.text, piece.id) for piece in line.shown.pieces] == wanted
    assert [piece for piece in line.shown.pieces if piece.text and not piece.is_seen] == []


def test_what_is_trained_stands_on_another_ground(line: Line) -> None:
    is_trained = [piece.is_trained for piece in line.row.pieces]
    assert {True, False} == set(is_trained)
    assert [piece.ground != WHITE for piece in line.shown.pieces] == is_trained
    assert min(piece.contrast for piece in line.shown.pieces) >= READABLE_CONTRAST


def test_what_is_trained_stands_on_green(line: Line) -> None:
    (ground,) = {piece.ground for piece in line.shown.pieces} - {WHITE}
    red, green, blue = channels(ground)
    assert green > max(red, blue)


def test_the_page_says_which_line_it_is_and_how_much_is_trained(line: Line) -> None:
    assert line.shown.page.startswith(f"Line {line.row.line} as {BASE} is trained on it\n")
    count = f"{line.row.trained} of {len(line.row.pieces)} tokens are trained."
    has_tokens = line.row.pieces[0].id is not None
    assert (count in line.shown.page) == has_tokens


def test_a_page_is_text_that_loads_and_runs_nothing(line: Line) -> None:
    assert set(line.shown.elements) <= {"h1", "p", "pre", "span", "sub"}
    assert line.shown.scripts == 0
    found = (line.shown.requests, line.shown.dialogs, line.shown.complaints)
    assert found == ([], [], [])


def test_the_browser_would_show_what_a_bad_page_does(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body><pre><span>a{EVIL}</span></pre></body>'
    )
    (tmp_path / "forbidden.html").write_text(
        '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'\"><body><pre><span>a{EVIL}</span></pre></body>"
    )
    bad, forbidden = show(FOLDER, [tmp_path / "bad.html", tmp_path / "forbidden.html"])
    assert "tea" in bad.dialogs and bad.scripts == 1
    assert "http://127.0.0.1:9/x.png" in bad.requests
    assert [piece.is_seen for piece in bad.pieces] == [False]
    # A policy stops them, yet that the page tried is seen.
    assert forbidden.dialogs == [] and forbidden.complaints
    assert "http://127.0.0.1:9/x.png" in forbidden.requests
