"""Renders a conversation with a base's training template, in transformers' own Jinja.

The spans are those that transformers computes for `{% generation %}` blocks, in characters. Its
token masks are not used: they lose tokens beside characters of several bytes. Two things are
stricter than in transformers: what is undefined is an error, and there is neither clock nor chance.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any

from teapot.errors import DataError, MissingExtraError, PluginError, Problem
from teapot.model.base import Base
from teapot.model.rendered import Rendered, Span
from teapot_trainers.basefile import BaseFile
from teapot_trainers.conversation import Conversation, prepare

_VERSIONS = "transformers >=5.17,<6"
_NO_ADVICE = "TRANSFORMERS_NO_ADVISORY_WARNINGS"


def render(
    file: BaseFile,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Any] | None = None,
    system_prompt: str | None = None,
) -> Rendered:
    """Return the text of a conversation as the base writes it, with its supervised spans.

    transformers tracks spans in the compiled template, so one thread at a time may render a base.

    Raises:
        DataError: the base cannot write this conversation; one problem for each fault.
        PluginError: the template is wrong, or marks other spans than the assistant's turns.
        MissingExtraError: transformers or jinja2 is not installed.
    """
    conversation = prepare(file.base, messages, tools, system_prompt)
    text, indices = _rendered(file, conversation)
    rendered = Rendered(text, tuple(Span(start, stop) for start, stop in indices))
    _check_spans(file, conversation, rendered)
    return rendered


@contextmanager
def no_advice() -> Iterator[None]:
    """Keep transformers from saying on stderr that there is no torch; rendering needs none."""
    before = os.environ.get(_NO_ADVICE)
    os.environ[_NO_ADVICE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_NO_ADVICE)
        if before is not None:
            os.environ[_NO_ADVICE] = before


def _rendered(file: BaseFile, conversation: Conversation) -> tuple[str, list[tuple[int, int]]]:
    jinja, run = _chat_templates()
    try:
        made: tuple[str, list[tuple[int, int]]] = run(
            _compiled(file.template), conversation.messages, conversation.tools, None, False,
            thinks=conversation.thinks, base=_tokens(file.base),
        )  # fmt: skip
    except jinja.TemplateError as error:
        if type(error) is jinja.TemplateError:  # what raise_exception in a template raises
            raise DataError(str(error)) from error
        raise _template_fault(file, error) from error
    except ImportError as error:  # transformers looks at jinja2's version when it compiles
        raise MissingExtraError("rendering with a base", "train") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _template_fault(file, error) from error
    return made


@lru_cache(maxsize=16)
def _compiled(template: str) -> Any:
    """Return the compiled template, strict and with nothing that changes from run to run.

    All of it is looked up in the environment at each run, so it may be set after compiling.
    """
    from jinja2 import StrictUndefined
    from transformers.utils.chat_template_utils import _compile_jinja_template

    compiled = _compile_jinja_template(template)
    compiled.environment.undefined = StrictUndefined
    for changing in ("strftime_now", "lipsum"):
        compiled.environment.globals.pop(changing, None)
    compiled.environment.filters.pop("random", None)
    return compiled


@lru_cache(maxsize=1)
def _chat_templates() -> tuple[Any, Any]:
    """Return jinja2's exceptions, and what of transformers runs a template and tracks its spans.

    These functions are not part of transformers' documented interface, so their absence is told.
    """
    try:
        from jinja2 import exceptions

        with no_advice():
            import transformers
            from transformers.utils import chat_template_utils
    except ImportError as error:
        raise MissingExtraError("rendering with a base", "train") from error
    run = getattr(chat_template_utils, "_render_with_assistant_indices", None)
    if run is None or not hasattr(chat_template_utils, "_compile_jinja_template"):
        found = transformers.__version__
        raise PluginError(f"rendering needs {_VERSIONS}, found {found}; install that version")
    return exceptions, run


def _tokens(base: Base) -> dict[str, Any]:
    """Return what a template may ask of `base`."""
    thought = base.thought
    return {
        "bos": base.bos or "",
        "end_of_turn": base.end_of_turn,
        "end_of_call": base.end_of_call or base.end_of_turn,
        "thought": {"open": thought.open, "close": thought.close} if thought else None,
    }


def _check_spans(file: BaseFile, conversation: Conversation, rendered: Rendered) -> None:
    turns = [turn for turn in conversation.messages if turn["role"] == "assistant"]
    if len(turns) != len(rendered.supervised):
        told = f"marks {len(rendered.supervised)} spans for {len(turns)} assistant turns"
        raise PluginError(Problem(file.template_name, told))
    tokens, before = _tokens(file.base), 0
    for turn, span, piece in zip(turns, rendered.supervised, rendered.pieces, strict=True):
        end = tokens["end_of_call" if turn["tool_calls"] else "end_of_turn"]
        if span.start < before or not piece.endswith(end):
            told = f"the span of messages[{turn['index']}] does not end on {end}: {piece[-60:]!r}"
            hint = "; a generation block must stand in no macro, set or filter block"
            raise PluginError(Problem(file.template_name, told + hint))
        before = span.stop


def _template_fault(file: BaseFile, error: Exception) -> PluginError:
    line = getattr(error, "lineno", None) or _line(error.__traceback__)
    where = f"{file.template_name}:{line}" if line else file.template_name
    return PluginError(Problem(where, f"{type(error).__name__}: {error}"))


def _line(traceback: TracebackType | None) -> int | None:
    """Return the line of the template that an error came from; Jinja puts it into the traceback."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
