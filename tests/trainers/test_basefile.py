"""Base files and templates that are not what they must be: every fault with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from teapot.errors import ConfigError, PluginError, TeapotError
from teapot_trainers import trainer_of
from teapot_trainers.basefile import read_base
from tests.support.basepackage import documented_files, write_package

FACTS = documented_files()["tea_base/base.yaml"]
Make = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.syspath_prepend(tmp_path)
    names = iter(f"{tmp_path.name.replace('-', '_')}_{number}" for number in range(9))

    def make(*, facts: str = "", template: str = "") -> str:
        name = next(names)
        write_package(tmp_path, name, facts=facts, template=template)
        return name

    return make


def told(package: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_base(package)
    return [str(problem).removeprefix(f"{package}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("before", "after", "problems"),
    [
        ("name: tea", "nmae: tea", [
            "base.yaml:1: the key name is missing: The word for --base; equal to the name of the "
            "entry point.",
            "base.yaml:1: nmae: no such key; did you mean name?",
        ]),
        ("eos: <|im_end|>", "eos: <|end|>", [
            "base.yaml:9: eos: '<|end|>' is not among the control_tokens",
        ]),
        ("pad_token: <|pad|>", "pad_token: <|im_end|>", [
            "base.yaml:10: pad_token: is the end_of_turn too: padding would be trained, or "
            "end_of_turn never",
            "base.yaml:10: pad_token: is the eos too: padding would be trained, or eos never",
        ]),
        ("[system, user, assistant]", "[user, tool]", [
            "base.yaml:7: roles: the role assistant is missing",
            "base.yaml:15: default_system_prompt: the base has no system role to say it in",
        ]),
        ("<|pad|>: 0", "<|pad|>: 2", [
            "base.yaml:14: control_tokens.<|pad|>: has the id 2 of <|im_end|>",
        ]),
        ("You are Tea.", "<|im_start|>", [
            "base.yaml:15: default_system_prompt: holds the control token '<|im_start|>'",
        ]),
        ("model: example/tea-1b", "model: tea\nrevision: main", [
            "base.yaml:3: model: found the text 'tea', expected owner/name",
            "base.yaml:4: revision: found the text 'main', expected a commit of 40 lower-case hex "
            "digits",
        ]),
    ],
)  # fmt: skip
def test_faulty_facts_are_told_with_their_lines(
    package: Make, before: str, after: str, problems: list[str]
) -> None:
    assert before in FACTS
    assert told(package(facts=FACTS.replace(before, after))) == problems


def test_facts_that_are_no_mapping(package: Make) -> None:
    assert told(package(facts="- tea\n")) == ["base.yaml:1: found a list, expected a base"]


def test_template_without_a_mark_would_train_nothing(package: Make) -> None:
    assert told(package(template="{{ messages }}")) == [
        "training.jinja: no {% generation %} block: nothing would be trained; put one around each "
        "answer"
    ]


def test_missing_files_and_packages_are_named(package: Make, tmp_path: Path) -> None:
    name = package()
    (tmp_path / name / "training.jinja").unlink()
    assert told(name) == [
        "training.jinja: cannot be read: No such file or directory; is it in the package's "
        "package_data?"
    ]
    assert told("no_such_base_package") == ["no_such_base_package: no such package"]


EXCHANGE = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
MARK = "{%- generation -%}Yes.<|im_end|>{%- endgeneration -%}"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("\n{{ nothing }}" + MARK, ":2: UndefinedError: 'nothing' is undefined"),
        ("{{ messages[0].nothing }}" + MARK,
         ":1: UndefinedError: 'dict object' has no attribute 'nothing'"),
        (MARK + "\n\n{{ strftime_now('%Y') }}", ":3: UndefinedError: 'strftime_now' is undefined"),
        (MARK + "{{ lipsum() }}", ":1: UndefinedError: 'lipsum' is undefined"),
        (MARK + "{{ [1, 2] | random }}",
         ":1: TemplateRuntimeError: No filter named 'random' found."),
        (MARK + "\n{% if %}", ":2: TemplateSyntaxError: Expected an expression, got 'end of "
         "statement block'"),
        (MARK + "{{ 1 + 'a' }}",
         ":1: TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        (MARK + MARK, ": marks 2 spans for 1 assistant turns"),
        ("{%- generation -%}Yes.{%- endgeneration -%}<|im_end|>",
         ": the span of messages[1] does not end on <|im_end|>: 'Yes.'; a generation block must "
         "stand in no macro, set or filter block"),
        ("{%- macro turn() -%}header" + MARK + "{%- endmacro -%}Hi.{{ turn() }}",
         ": the span of messages[1] does not end on <|im_end|>: 'headerYes.<|im'; a generation "
         "block must stand in no macro, set or filter block"),
    ],
)  # fmt: skip
def test_faulty_template_is_told_and_nothing_is_trained(
    package: Make, template: str, problem: str
) -> None:
    name = package(template=template)
    with pytest.raises(PluginError) as caught:
        trainer_of(name).render(EXCHANGE)
    assert str(caught.value) == f"{name}/training.jinja{problem}"


def test_base_without_tools_refuses_rows_with_tools(package: Make) -> None:
    trainer = trainer_of(package())
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    for messages, tools, told_ in [
        (EXCHANGE, [{"name": "f"}], "tools: tea cannot write tool definitions"),
        ([EXCHANGE[0], calling], None, "messages[1]: tea cannot write tool calls"),
        ([*EXCHANGE, {"role": "tool", "content": ""}], None, "cannot write the role 'tool'"),
    ]:
        with pytest.raises(TeapotError) as caught:
            trainer.render(messages, tools)
        assert told_ in str(caught.value)


def test_base_without_a_system_role_refuses_a_system_prompt(package: Make) -> None:
    facts = FACTS.replace("[system, user", "[user").replace(
        "default_system_prompt: You are Tea.", ""
    )
    trainer = trainer_of(package(facts=facts))
    assert trainer.render(EXCHANGE).text.startswith("<|im_start|>user")
    with pytest.raises(TeapotError, match="the system prompt: tea has no system turn"):
        trainer.render(EXCHANGE, system_prompt="P")
