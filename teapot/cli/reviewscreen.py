"""The screen of `teapot curate review`: one record, its thoughts folded, and keys for verdicts.

Nothing in a record is markup or a control sequence here: its text is shown as it is.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Collapsible, Footer, Input, ProgressBar, Static

from teapot.cli.app import harmless
from teapot.errors import TeapotError, UsageError
from teapot.model.record import Message
from teapot.model.verdict import Kind
from teapot.thinking import split_thought
from teapot.usecases.review import Review


def show(session: Review) -> None:
    """Let the reviewer go through a session until they leave.

    Raises:
        UsageError: there is no terminal.
        TeapotError: a verdict could not be written.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a review needs a terminal; `teapot curate import` takes verdicts from a file"
        )
    error = ReviewScreen(session).run()
    if isinstance(error, TeapotError):
        raise error


class ReviewScreen(App[TeapotError]):
    """Shows the record of a session and hands keys to it."""

    TITLE = "teapot curate review"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { padding: 0 1; color: $text-muted; }
    #record { padding: 0 1; }
    .role { text-style: bold; color: $accent; margin-top: 1; }
    .user { color: $success; }
    #note, #filter { display: none; }
    #note.asked, #filter.asked { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "decide('keep')", "keep"),
        Binding("d", "decide('drop')", "drop"),
        Binding("e", "ask('note')", "note"),
        Binding("s", "skip", "skip"),
        Binding("u", "undo", "undo"),
        Binding("t", "thoughts", "thoughts"),
        Binding("slash", "ask('filter')", "filter", key_display="/"),
        Binding("q", "quit", "quit"),
        Binding("escape", "leave", "", show=False),
    ]

    def __init__(self, session: Review) -> None:
        super().__init__()
        self.session = session

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield ProgressBar(total=self.session.total or 1, show_eta=False, id="progress")
        yield Static(id="head", markup=False)
        yield VerticalScroll(id="record")
        yield Input(placeholder="a note: why, in your words; Enter keeps it", id="note")
        yield Input(placeholder="show records that hold this text; empty for all", id="filter")
        yield Footer()

    async def on_mount(self) -> None:
        """Show the first record."""
        await self._show_record()

    async def action_decide(self, kind: Kind) -> None:
        """Write a verdict and show the next record."""
        try:
            self.session.decide(kind)
        except TeapotError as error:
            self.exit(error)
            return
        await self._show_record()

    async def action_skip(self) -> None:
        """Show the next record."""
        self.session.skip()
        await self._show_record()

    async def action_undo(self) -> None:
        """Take the last verdict back and show its record."""
        try:
            if not self.session.undo():
                self.notify("nothing to undo")
        except TeapotError as error:
            self.exit(error)
            return
        await self._show_record()

    def action_thoughts(self) -> None:
        """Fold or unfold the thoughts."""
        for thought in self.query(Collapsible):
            thought.collapsed = not thought.collapsed

    def action_ask(self, name: str) -> None:
        """Let the reviewer type a note or a filter."""
        asked = self.query_one(f"#{name}", Input)
        asked.value = self.session.note if name == "note" else self.session.query
        asked.add_class("asked")
        asked.focus()

    def action_leave(self) -> None:
        """Stop typing, and change nothing."""
        for asked in self.query(Input):
            asked.remove_class("asked")
        self.query_one("#record").focus()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        if event.input.id == "note":
            self.session.note = event.value.strip()
        else:
            self.session.filter(event.value.strip())
        self.action_leave()
        await self._show_record()

    async def _show_record(self) -> None:
        session, record = self.session, self.query_one("#record", VerticalScroll)
        self.query_one(ProgressBar).update(progress=session.reviewed)
        self.query_one("#head", Static).update(_head(session))
        await record.remove_children()
        if session.current is not None:
            await record.mount_all(
                part for message in session.current.messages for part in _turn(message)
            )
        record.scroll_home(animate=False)
        record.focus()


def _head(session: Review) -> str:
    done = f"{session.reviewed} of {session.total} reviewed"
    filtered = f" · filter: {harmless(session.query)}" if session.query else ""
    if session.current is None:
        return f"{done}{filtered} · no more records here"
    current = session.current
    name = f"{harmless(current.id)} · {harmless(current.license)}"
    note = f" · note: {harmless(session.note)}" if session.note else ""
    return f"{done}{filtered} · {name} · {current.content_digest.hex()[:12]}{note}"


def _turn(message: Message) -> list[Widget]:
    """Return what shows one turn: who speaks, the thought folded, the text, calls of tools."""
    role, content = message["role"], message["content"]
    parts: list[Widget] = [Static(harmless(role), classes=f"role {role}", markup=False)]
    if role == "assistant":
        thought, content = split_thought(content)
        if thought is not None:
            title = f"thought, {len(thought):,} characters"
            parts.append(Collapsible(Static(_plain(thought), markup=False), title=title))
    parts.append(Static(_plain(content), markup=False))
    for call in message.get("tool_calls", ()):
        function = call["function"]
        told = f"calls {function['name']} {function['arguments']}"
        parts.append(Static(_plain(told), markup=False))
    return parts


def _plain(text: str) -> Content:
    """Return text with its lines as they are, and control characters made visible."""
    return Content("\n".join(harmless(line) for line in text.expandtabs(4).split("\n")))
