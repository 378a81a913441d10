"""What families write, read as reasoning, text and calls; how it is cut into pieces changes nothing."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.domain.tools import ToolSpec
from swarm.worker.decoder.tools import formats
from swarm.worker.decoder.tools.formats import ToolFormat, format_of
from swarm.worker.decoder.tools.output import ThinkingMarks, open_output
from swarm.worker.decoder.tools.parts import ArgumentsPiece, CallBegun, Part, Reasoning, Text

SCHEMA = '{"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}}'
TOOLS = (ToolSpec("get", "", SCHEMA), ToolSpec("now"))
THINKING = ThinkingMarks("<think>", "</think>")


def call(name: str, arguments: str) -> list[Part]:
    return [CallBegun(name), ArgumentsPiece(arguments)]


TWO_CALLS = [*call("get", '{"city": "x"}'), *call("now", "{}")]
SAID: list[tuple[ToolFormat, str, list[Part]]] = [
    (
        formats.TAGS,
        'So:\n<tool_call>\n{"name": "get", "arguments": {"city": "}\\""}}\n</tool_call>\n'
        '<tool_call>{"arguments": {}, "name": "now"}</tool_call>',
        [Text("So:"), *call("get", '{"city": "}\\""}'), *call("now", "{}")],
    ),
    (formats.TAGS, "<think>hm\n</think>\n\na <tool_ca b", [Reasoning("hm\n"), Text("a <tool_ca b")]),
    (formats.TAGS, '<tool_call>{"name": "now"}</tool_call> ok', [*call("now", "{}"), Text("ok")]),
    (formats.TAGS, '<tool_call>{"name": "get", "arguments": "{\\"n\\": 1}"}', call("get", '{"n": 1}')),
    (formats.TAGS, '<tool_call>{"name": "get", "arguments": {"ci', call("get", '{"ci')),
    (formats.TAGS, "<tool_call>what?", [Text("what?")]),
    (formats.TAGS, '<tool_call>{"city": 1}</tool_call>', [Text('{"city": 1}')]),
    (formats.TAGS, "  as it is \n", [Text("  as it is \n")]),
    (
        formats.FUNCTION_TAGS,
        "<tool_call>\n<function=get>\n<parameter=city>\n5\n</parameter>\n<parameter=n>\n5\n</parameter>\n</function>\n"
        "</tool_call>",
        call("get", '{"city": "5", "n": 5}'),
    ),
    (
        formats.FUNCTION_TAGS,
        '<tool_call>\n{"name": "get", "arguments": {"n": 1}}\n</tool_call>',
        call("get", '{"n": 1}'),
    ),
    (
        formats.KEY_VALUE_TAGS,
        "<tool_call>get\n<arg_key>n</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        call("get", '{"n": 3}'),
    ),
    (
        formats.MISTRAL,
        '[TOOL_CALLS] [{"name": "get", "arguments": {"city": "x"}, "id": "a"}, {"name": "now", "arguments": {}}]',
        TWO_CALLS,
    ),
    (formats.MISTRAL_NAMED, '[TOOL_CALLS]get[ARGS]{"city": "x"}[TOOL_CALLS]now[CALL_ID]b[ARGS]{}', TWO_CALLS),
    (
        formats.LLAMA,
        '{"name": "get", "parameters": {"city": "x"}}; {"name": "now", "parameters": {}}',
        TWO_CALLS,
    ),
    (formats.LLAMA, '<|python_tag|>{"name": "now", "parameters": {}}', call("now", "{}")),
    (formats.LLAMA, '{"a": 1} is JSON', [Text('{"a": 1} is JSON')]),
    (formats.LLAMA, '{"name": "nobody", "parameters": {}}', [Text('{"name": "nobody", "parameters": {}}')]),
    (formats.LLAMA, "[1, 2] is a list", [Text("[1, 2] is a list")]),
    (formats.PYTHON, '[get(city="a]b", n=2), now()]', [*call("get", '{"city": "a]b", "n": 2}'), *call("now", "{}")]),
    (formats.PYTHON, "<|python_start|>[now()]<|python_end|>", call("now", "{}")),
    (formats.PYTHON, "[1, 2] is a list", [Text("[1, 2] is a list")]),
    (
        formats.DEEPSEEK,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get\n```json\n"
        '{"city": "x"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        TWO_CALLS,
    ),
    (
        formats.DEEPSEEK_PLAIN,
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get<｜tool▁sep｜>{"city": "x"}<｜tool▁call▁end｜>'
        "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        TWO_CALLS,
    ),
    (formats.LISTED, '<|tool_call|>[{"name": "now", "arguments": {}}]<|/tool_call|>', call("now", "{}")),
    (formats.GRANITE, '<|tool_call|>[{"name": "now", "arguments": {}}]', call("now", "{}")),
    (
        formats.HARMONY,
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
        "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>",
        [Reasoning("hm"), *call("now", "{}")],
    ),
    (formats.HARMONY, "<|channel|>final<|message|>Hi <|x", [Text("Hi <|x")]),
]


def read(pieces: Sequence[str], format: ToolFormat, *, thinks: bool = False) -> list[Part]:
    output = open_output(THINKING, thinks, format, TOOLS)
    parts = [part for piece in pieces for part in output.feed(piece)] + output.finish()
    joined: list[Part] = []
    for part in parts:
        if joined and type(joined[-1]) is type(part) and not isinstance(part, CallBegun):
            joined[-1] = type(part)(joined[-1].text + part.text)  # type: ignore[union-attr]
        else:
            joined.append(part)
    return joined


@pytest.mark.parametrize(("format", "text", "parts"), SAID, ids=lambda value: getattr(value, "name", None))
def test_a_family_is_read_whole_and_at_every_border(format: ToolFormat, text: str, parts: list[Part]) -> None:
    assert read([text], format) == parts
    assert read(list(text), format) == parts
    for at in range(len(text)):
        assert read([text[:at], text[at:]], format) == parts


PIECES = st.lists(
    st.sampled_from(
        [
            *("<tool_call>", "</tool_call>", '{"name": "now"', ', "arguments": ', "{", "}", '"', "\\", "[", "]", " "),
            *("<think>", "</think>", "word", "[TOOL_CALLS]", "[ARGS]", "now", ",", ":", "<", "5", "\n"),
        ]
    ),
    max_size=12,
)


@given(PIECES, st.sampled_from([formats.TAGS, formats.LLAMA, formats.MISTRAL_NAMED, formats.PYTHON]), st.booleans())
def test_whatever_is_said_comes_the_same_in_pieces(pieces: list[str], format: ToolFormat, thinks: bool) -> None:
    text = "".join(pieces)
    assert read(pieces, format, thinks=thinks) == read(list(text), format, thinks=thinks)
    assert read([text], format, thinks=thinks) == read(list(text), format, thinks=thinks)


def test_arguments_come_while_they_are_written() -> None:
    output = open_output(None, False, formats.TAGS, TOOLS)
    begun = output.feed('<tool_call>{"name": "get", "arguments": {"city": "Par')
    assert begun == call("get", '{"city": "Par')
    assert output.feed('is"}') == [ArgumentsPiece('is"}')]


def test_a_prompt_that_opens_the_reasoning_leaves_only_its_end_to_the_answer() -> None:
    assert read(["so ", "</thi", "nk>\n\nyes"], formats.TAGS, thinks=True) == [Reasoning("so "), Text("yes")]


@pytest.mark.parametrize(
    ("template", "format"),
    [
        ("{{ tools }} <tool_call>", formats.TAGS),
        ("<tool_call> <function= <parameter=", formats.FUNCTION_TAGS),
        ("<tool_call> <arg_key>", formats.KEY_VALUE_TAGS),
        ("[AVAILABLE_TOOLS] [TOOL_CALLS]", formats.MISTRAL),
        ("[TOOL_CALLS] [ARGS]", formats.MISTRAL_NAMED),
        ('<|start_header_id|> {"name": , "parameters": } <|python_tag|>', formats.LLAMA),
        ("<｜tool▁calls▁begin｜> ```json", formats.DEEPSEEK),
        ("<｜tool▁calls▁begin｜>", formats.DEEPSEEK_PLAIN),
        ("<|channel|> <|message|> tools", formats.HARMONY),
        ("nothing of the kind", formats.TAGS),
    ],
)
def test_the_template_tells_the_format(template: str, format: ToolFormat) -> None:
    assert format_of(template) is format
