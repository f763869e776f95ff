"""`teapot mask`: what of one verified line is trained, in the terminal, as JSON, as a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import teapot
from teapot.cli.app import run
from teapot.plugins import load_trainer
from tests.support.compositions import make
from tests.support.environment import own_key
from tests.support.tokenizers import tokenizer_json

Say = Callable[..., tuple[int, str, str]]
EVIL = '<script>alert("tea")</script> & \x1b[31mred \u202eback\r'
VISIBLE = EVIL.replace("\x1b", r"\x1b").replace("\u202e", r"\x202e").replace("\r", r"\x0d")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> teapot.Composition:
    """A signed composition in the working folder, and a tokenizer for Apertus."""
    monkeypatch.chdir(tmp_path)
    Path("teapot.allowed_signers").write_text(f"alice {own_key().public.ssh}\n")
    Path("tokenizer.json").write_text(tokenizer_json(load_trainer("apertus")[0].base))
    return make(Path())


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """What a command ends with: its exit code, stdout and stderr."""

    def said(*arguments: str) -> tuple[int, str, str]:
        code = run(["mask", *arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return said


def first_line(made: teapot.Composition) -> tuple[str, list[str]]:
    """Return the rendered text of the first line, and what is trained of it."""
    record = json.loads(made.paths.data.read_bytes().split(b"\n")[0])
    rendered = load_trainer("apertus")[0].render(record["messages"])
    return rendered.text, list(rendered.pieces)


def test_what_is_trained_stands_between_marks(made: teapot.Composition, say: Say) -> None:
    code, out, err = say("mix.jsonl", "1", "--base", "apertus")
    text, pieces = first_line(made)
    for piece in pieces:
        text = text.replace(piece, f"⟦{piece}⟧")
    assert (code, out, err) == (0, text + "\n", "")


def test_tokens_are_shown_with_their_ids(made: teapot.Composition, say: Say) -> None:
    code, out, _ = say("mix.jsonl", "1", "--base", "apertus", "--tokenizer", ".", "--ids")
    assert code == 0 and out.startswith("<s>·1 <|system_start|>·61 ")
    assert out.endswith("<|assistant_end|>·68 ⟧\n")


@pytest.mark.parametrize("tokenizer", [(), ("--tokenizer", "tokenizer.json")])
def test_json_has_every_piece(
    made: teapot.Composition, say: Say, tokenizer: tuple[str, ...]
) -> None:
    code, out, _ = say("mix.manifest.json", "1", "--base", "apertus", "--json", *tokenizer)
    row = json.loads(out)
    text, trained = first_line(made)
    assert (code, row["line"], row["base"]) == (0, 1, "apertus")
    assert "".join(piece["text"] for piece in row["pieces"]) == text
    marked = [piece["text"] for piece in row["pieces"] if piece["is_trained"]]
    assert "".join(marked) == "".join(trained)
    special = {piece["text"] for piece in row["pieces"] if piece["is_special"]}
    assert special <= set(load_trainer("apertus")[0].base.control_tokens)
    assert {"<s>", "<|user_start|>", "<|assistant_end|>"} <= special
    assert all((piece["id"] is not None) == bool(tokenizer) for piece in row["pieces"])


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text, self.trained, self._where = "", "", [""]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self._where.append(f"{self._where[-1]} {tag} {dict(attrs).get('class')}")

    def handle_endtag(self, tag: str) -> None:
        self._where.pop()

    def handle_data(self, data: str) -> None:
        if " pre " in self._where[-1] and " sub " not in self._where[-1]:
            self.text += data
            self.trained += data if "trained" in self._where[-1] else ""


@pytest.mark.parametrize("tokenizer", [(), ("--tokenizer", ".")])
def test_a_page_shows_the_row_as_text(
    made: teapot.Composition, say: Say, tokenizer: tuple[str, ...]
) -> None:
    prompt = ("--system-prompt", EVIL)
    code, out, _ = say(
        "mix.jsonl", "1", "--base", "apertus", *prompt, *tokenizer, "--html", "x.html"
    )
    assert (code, out) == (0, "page      x.html\n")
    page = _Page(Path("x.html").read_text(encoding="utf-8"))
    text, trained = first_line(made)
    default = load_trainer("apertus")[0].base.default_system_prompt
    assert page.text == text.replace(str(default), VISIBLE)
    assert page.trained == "".join(trained)
    assert "script" not in page.tags


def test_escape_sequences_of_a_row_do_not_reach_the_terminal(
    made: teapot.Composition, say: Say
) -> None:
    _, out, _ = say("mix.jsonl", "1", "--base", "apertus", "--system-prompt", EVIL)
    assert "\x1b" not in out and "\\x1b[31mred" in out


def test_an_altered_line_is_not_shown(made: teapot.Composition, say: Say) -> None:
    data = made.paths.data.read_bytes()
    made.paths.data.write_bytes(data.replace(b"An answer", b"No answer", 1))
    assert made.paths.data.read_bytes() != data
    code, out, err = say("mix.jsonl", "1", "--base", "apertus")
    assert (code, out) == (1, "") and "mix.manifest.json: data: expected" in err


def test_an_unsigned_line_is_shown_only_if_asked_for(made: teapot.Composition, say: Say) -> None:
    made.paths.bundle.unlink()
    code, out, _ = say("mix.jsonl", "1", "--base", "llama")
    assert (code, out) == (4, "")
    code, out, _ = say("mix.jsonl", "1", "--base", "llama", "--allow-unsigned")
    assert code == 0 and out.endswith("<|eot_id|>⟧\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("99", "--base", "apertus"), "has no line 99, it has"),
        (("1", "--base", "apertus", "--ids"), "--ids needs --tokenizer"),
        (("1", "--base", "apertus", "--tokenizer", "absent"), "absent: is no folder here"),
        (("1", "--base", "llama", "--tokenizer", "."), "<|begin_of_text|> is not one token"),
        (("1", "--base", "lama"), "did you mean llama?"),
        (("0", "--base", "llama"), "0 is not in the range"),
        (("1", "--base", "llama", "--html", "mix.jsonl"), "is no name for a page"),
    ],
)
def test_what_cannot_be_shown_is_told(
    made: teapot.Composition, say: Say, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = say("mix.jsonl", *arguments)
    assert (code, out) == (2, "") and message in err


def test_a_line_that_the_base_cannot_write_is_named(made: teapot.Composition, say: Say) -> None:
    code, _, err = say("mix.jsonl", "1", "--base", "llama", "--system-prompt", "<|eot_id|>")
    assert code == 1
    assert err.startswith("error: mix.jsonl:1: the system prompt: holds '<|eot_id|>'")
