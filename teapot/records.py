"""From a row to an example: the one pure step that every row of every source goes through.

The order is fixed: read the turns, place reasoning and system text, repair what the module asks
for, judge the licence, check, apply the reasoning policy, make the bytes. A row ends as `Example`
or as `Dropped` with its reason, never otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from teapot.canonical import CanonicalError, dumps, dumps_plain, kind_of, loads, plain
from teapot.checks.builtin import is_clean, uncovered
from teapot.checks.length import LengthCheck
from teapot.commonrow import CommonRowMaker, record_line, takes_the_short_way
from teapot.digest import sha256
from teapot.interfaces import Check
from teapot.licensing import LicenseJudge, LicenseVerdict
from teapot.messages import Turns, read_turns
from teapot.model.module import MIXED, FieldMap, Module, ReasoningPolicy, SourceSpec, SystemPrompt
from teapot.model.record import Dropped, Example, Fault, Message, Record, Row
from teapot.model.verdict import Decision
from teapot.repairs import repair_messages
from teapot.rowscan import CommonRows, common_rows
from teapot.thinking import has_thought, strip_thought, with_thought


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """What of a recipe bears on single rows."""

    licenses: LicenseJudge
    checks: Sequence[Check]
    strip_think: bool = False
    include_reasoning: bool = False


class RecordMaker:
    """Makes the examples of one source of one module."""

    def __init__(self, module: Module, source: SourceSpec, options: RecordOptions) -> None:
        self._module = module
        self._source = source
        self._options = options
        self._uncovered: Sequence[Check] = uncovered(options.checks)
        self._ignored = frozenset(module.ignore_message_keys)
        self._reasoning: ReasoningPolicy = "strip" if options.strip_think else module.reasoning
        self._tail = tail_of(module, source)
        self._common: CommonRowMaker | None = None
        if takes_the_short_way(module, [*options.checks], strip_think=options.strip_think):
            self._common = CommonRowMaker(module, self._tail, options.licenses, self._license_of)

    @property
    def asks_plugins(self) -> bool:
        """Return whether a check of a plug-in sees every row."""
        return not all(isinstance(check, LengthCheck) for check in self._uncovered)

    def common_rows(self) -> CommonRows | None:
        """Return what compiled code makes alone of JSON Lines; None where a plug-in must look."""
        if self.asks_plugins:
            return None
        default = self._options.licenses.judge(self._license_of({}))
        return common_rows(
            replace(self._module, reasoning=self._reasoning), self._source, self._tail,
            default=default if isinstance(default, LicenseVerdict) else None,
        )  # fmt: skip

    def teach(self, row: Row, common: CommonRows) -> None:
        """Let `common` know how a row says its licence, where that may enter."""
        said = row.get(self._module.fields.license or "license")
        verdict = self._options.licenses.judge(said)
        if isinstance(verdict, LicenseVerdict) and verdict.allowed:
            common.learn(said, verdict)

    def make(self, row: Row) -> Example | Dropped:
        """Return the example that `row` makes, or why it makes none."""
        try:
            example = self._common.make(row) if self._common is not None else None
            return example if example is not None else self._make(row)
        except CanonicalError as error:
            fault = Fault("schema", "cannot be written as strict JSON", hint=str(error))
            return _bad([fault], None, None)

    def revise(self, row: Row, identity: str, decision: Decision) -> Example | Dropped:
        """Return the example of a row after a reviewer's edit or move, which keeps its id.

        The messages of an edit are those of the record: nothing is placed or repaired any more.
        """
        found = self.make(row)
        if isinstance(found, Dropped):
            return found
        messages = found.messages
        if decision.messages is not None:
            messages = read_turns([*decision.messages]).messages
        record = Record(
            id=identity, license=found.license, messages=messages,
            category=decision.category or _names(row, self._module.fields)[1],
            module=self._module.name, source=self._source.id,
            tools=_tools(row, self._module.fields, []),
        )  # fmt: skip
        checked = self._checked(record)
        if isinstance(checked, Dropped):
            return checked
        repairs = (*found.repairs, f"curated-{decision.verdict}")
        return self._example(checked, repairs, found.digest_before or found.content_digest)

    def remake(self, record: Record, messages: list[Message]) -> Example | Dropped:
        """Return the example of a record that has other messages now, or why it makes none."""
        try:
            checked = self._checked(replace(record, messages=messages))
            return checked if isinstance(checked, Dropped) else self._example(checked, (), None)
        except CanonicalError as error:
            fault = Fault("schema", "cannot be written as strict JSON", hint=str(error))
            return _bad([fault], record.id, record.license)

    def _make(self, row: Row) -> Example | Dropped:
        identity, category, faults = _names(row, self._module.fields)
        turns = turns_of(row, self._module.fields, self._ignored)
        tools = _tools(row, self._module.fields, faults)
        verdict = self._options.licenses.judge(self._license_of(row))
        faults.extend((*turns.faults, *self._reasoning_faults(row)))
        if isinstance(verdict, Fault):
            return _bad([*faults, verdict], identity, None)
        if faults:
            return _bad(faults, identity, verdict.text)
        placed = self._placed(turns.messages, row)
        messages, repairs = repair_messages(placed, self._module.repair)
        digest_before = sha256(_content(placed, tools)[0]) if repairs else None
        if not verdict.allowed:
            digest = sha256(_content(messages, tools)[0])
            told = f"{verdict.text} is not among the allowed licences"
            return Dropped(
                reason="license", detail=told, shown=told, id=identity, license=verdict.text,
                content_digest=digest, bad=False,
            )  # fmt: skip
        record = Record(
            id=identity or "", license=verdict.text, messages=messages, category=category,
            module=self._module.name, source=self._source.id, tools=tools,
        )  # fmt: skip
        checked = self._checked(record)
        if isinstance(checked, Dropped):
            return checked
        return self._example(checked, repairs, digest_before)

    def _license_of(self, row: Row) -> object:
        named = self._module.fields.license
        if named is not None or self._module.license == MIXED:
            return row.get(named or "license")
        own = row.get("license")
        return own if own is not None else self._source.license or self._module.license

    def _reasoning_faults(self, row: Row) -> Sequence[Fault]:
        column = self._module.fields.reasoning
        value = row.get(column) if column else None
        if value is None or isinstance(value, str):
            return ()
        return (Fault("schema", f"{column} is {kind_of(value)}, expected text"),)

    def _placed(self, messages: list[Message], row: Row) -> list[Message]:
        """Return the turns with reasoning and system text where the module and config want them."""
        column = self._module.fields.reasoning
        reasoning = row.get(column) if column and self._options.include_reasoning else None
        if isinstance(reasoning, str) and reasoning.strip():
            messages = _with_reasoning(messages, reasoning)
        prompt = self._module.system_prompt
        return _with_system(messages, prompt) if prompt is not None else messages

    def _checked(self, record: Record) -> Record | Dropped:
        checks = self._uncovered
        if record.tools is not None or not is_clean(record.messages):
            checks = self._options.checks
        faults = [fault for check in checks for fault in check.run(record)]
        if self._reasoning == "allow":
            return _bad(faults, record.id or None, record.license) if faults else record
        thoughtful = any(
            message["role"] == "assistant" and has_thought(message["content"])
            for message in record.messages
        )
        if self._reasoning == "require" and not thoughtful:
            faults.append(Fault("reasoning-missing", "no thought, and the module requires one"))
        if self._reasoning == "forbid" and thoughtful:
            faults.append(Fault("reasoning-forbidden", "a thought, and the module forbids them"))
        if faults:
            return _bad(faults, record.id or None, record.license)
        if self._reasoning != "strip" or not thoughtful:
            return record
        return Record(
            id=record.id, license=record.license, messages=_stripped(record.messages),
            category=record.category, module=record.module, source=record.source,
            tools=record.tools,
        )  # fmt: skip

    def _example(
        self, record: Record, repairs: tuple[str, ...], digest_before: bytes | None
    ) -> Example:
        content, messages, tools = _content(record.messages, record.tools)
        digest = sha256(content)
        identity = record.id or f"{record.source}-{digest.hex()[:16]}"
        named = (record.category, identity, record.license)
        line = record_line(named, messages, self._tail, tools)
        return Example(
            id=identity, license=record.license, line=line, content_digest=digest,
            characters=sum([len(message["content"]) for message in record.messages]),
            repairs=repairs, digest_before=digest_before, messages=record.messages,
        )  # fmt: skip


def tail_of(module: Module, source: SourceSpec) -> bytes:
    """Return the end of each line of a source, without the last brace."""
    return b',"module":%b,"source":%b' % (dumps(module.name), dumps(source.id))


def _content(messages: list[Message], tools: list[Any] | None) -> tuple[bytes, bytes, bytes | None]:
    """Return the canonical `{messages, tools}`, and the canonical bytes of its two parts."""
    turns = dumps_plain(messages)
    if tools is None:
        return b'{"messages":' + turns + b"}", turns, None
    offered = dumps_plain(tools)
    return b'{"messages":' + turns + b',"tools":' + offered + b"}", turns, offered


def _bad(faults: Sequence[Fault], identity: str | None, license_text: str | None) -> Dropped:
    ordered = sorted(faults, key=_place_of)
    return Dropped(
        reason=ordered[0].code,
        detail="; ".join(str(fault) for fault in ordered),
        shown="; ".join(fault.shown() for fault in ordered),
        id=identity,
        license=license_text,
    )


def _place_of(fault: Fault) -> int:
    """Order faults by their turn; those of the whole row come last."""
    return sys.maxsize if fault.message_index is None else fault.message_index


def _names(row: Row, fields: FieldMap) -> tuple[str | None, str | None, list[Fault]]:
    """Return the row's id and category, and a fault for each that is neither text nor number."""
    faults: list[Fault] = []
    found: list[str | None] = []
    for column in (fields.id or "id", fields.category or "category"):
        value = row.get(column)
        if value is None or type(value) is str:
            found.append(value or None)
        elif type(value) is int:
            found.append(str(value))
        else:
            found_kind = f"{column} is {kind_of(value)}, expected text or a whole number"
            faults.append(Fault("schema", found_kind))
            found.append(None)
    return found[0], found[1], faults


def turns_of(row: Row, fields: FieldMap, ignored: frozenset[str]) -> Turns:
    """Return the messages of a row as its module says where they are."""
    if fields.user is not None or fields.assistant is not None:
        return _exchange(row, fields)
    columns = [fields.messages] if fields.messages else ["messages", "conversations"]
    present = [column for column in columns if row.get(column) is not None]
    if len(present) == 1:
        return _with_system_column(read_turns(row[present[0]], ignored), row, fields)
    wanted = " or ".join(columns)
    if present:
        return Turns(
            faults=[Fault("schema", "both messages and conversations: name one in fields")]
        )
    keys = ", ".join(sorted(map(str, row)))[:120]
    return Turns(faults=[Fault("schema", f"no {wanted}; the row has {keys or 'no keys'}")])


def _with_system_column(turns: Turns, row: Row, fields: FieldMap) -> Turns:
    """Put the text of a system column, as ShareGPT files have one, before the turns."""
    column = fields.system or "system"
    text = row.get(column)
    if text is None or text == "" or turns.faults:
        return turns
    if not isinstance(text, str):
        turns.faults.append(Fault("schema", f"{column} is {kind_of(text)}, expected text"))
    elif turns.messages[0]["role"] != "system":
        turns.messages.insert(0, {"role": "system", "content": text})
    elif turns.messages[0]["content"] != text:
        told = f"the column {column} and a system turn say different things: which one holds?"
        turns.faults.append(Fault("two-systems", told))
    return turns


def _exchange(row: Row, fields: FieldMap) -> Turns:
    """Return the single exchange that plain columns make; an empty system column makes no turn."""
    turns: list[dict[str, Any]] = []
    for role, column in (
        ("system", fields.system), ("user", fields.user), ("assistant", fields.assistant),
    ):  # fmt: skip
        if column is None or (role == "system" and not row.get(column)):
            continue
        if column not in row:
            keys = ", ".join(sorted(map(str, row)))[:120]
            return Turns(faults=[Fault("schema", f"no column {column!r}; the row has {keys}")])
        turns.append({"role": role, "content": row[column]})
    return read_turns(turns)


def _tools(row: Row, fields: FieldMap, faults: list[Fault]) -> list[Any] | None:
    column = fields.tools or "tools"
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = loads(value.encode()) if value.strip() else []
        except (CanonicalError, UnicodeEncodeError) as error:
            faults.append(Fault("schema", f"{column} is not JSON text", hint=str(error)))
            return None
    if isinstance(value, list) and all(isinstance(tool, Mapping) for tool in value):
        return [plain(tool) for tool in value] or None
    faults.append(Fault("schema", f"{column} is not a list of tool definitions"))
    return None


def _with_reasoning(messages: list[Message], reasoning: str) -> list[Message]:
    placed = list(messages)
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            changed = message.copy()
            changed["content"] = with_thought(reasoning, message["content"])
            placed[index] = changed
            break
    return placed


def _with_system(messages: list[Message], prompt: SystemPrompt) -> list[Message]:
    has_one = messages[0]["role"] == "system"
    if has_one and prompt.mode == "missing":
        return messages
    system: Message = {"role": "system", "content": prompt.text}
    return [system, *(messages[1:] if has_one else messages)]


def _stripped(messages: list[Message]) -> list[Message]:
    stripped: list[Message] = []
    for message in messages:
        changed = message.copy()
        if message["role"] == "assistant":
            changed["content"] = strip_thought(message["content"])
        stripped.append(changed)
    return stripped
