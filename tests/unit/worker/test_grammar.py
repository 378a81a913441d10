"""Answers that are held to a form: valid whatever a model would like, and whenever it must stop."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from transformers import AutoTokenizer

from swarm.domain.generation import ChatMessage, Sampling
from swarm.domain.tools import ResponseFormat, ToolChoice, ToolSpec
from swarm.wire.worker_commands import Generate
from swarm.wire.worker_events import Generated
from swarm.worker.decoder.detokenizer import Detokenizer
from swarm.worker.decoder.form import Form
from swarm.worker.decoder.forms import Forms
from swarm.worker.decoder.tools.speech import speech_of
from swarm.worker.failures import PromptFailure

DEMO = AutoTokenizer.from_pretrained(Path(__file__).parents[3] / "swarm/demo_model")
END = 1
FORMS = Forms(DEMO, {END}, len(DEMO))
HELLO = (ChatMessage("user", "hi"),)
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "code": {"type": "string", "pattern": "^[A-Z]{2,}-[0-9]+$"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 2}, "maxItems": 3},
        "more": {"anyOf": [{"$ref": "#/$defs/more"}, {"type": "null"}]},
    },
    "required": ["name", "code", "tags", "more"],
    "additionalProperties": False,
    "$defs": {"more": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7}}, "required": ["n"]}},
}
TOOLS = (ToolSpec("look_up", "", json.dumps(PERSON)), ToolSpec("now", "", "{}"))


def asked(schema: Any, **more: Any) -> Generate:
    return Generate("1", HELLO, Sampling(), response_format=ResponseFormat("json_schema", json.dumps(schema)), **more)


def ramble(form: Form, seed: int, limit: int, resumed: tuple[int, ...] = ()) -> list[int]:
    """Tokens of a model that has no idea: any that is allowed, as likely as any other."""
    choice, made = random.Random(seed), list(resumed)
    for at, token in enumerate(resumed):
        choice.random()
        form.recall(token, "", limit - at)
    while len(made) < limit and not form.finished:
        allowed = form.allowed()
        may_come = torch.ones(len(DEMO)) if allowed is None else allowed
        possible = may_come.nonzero().flatten().tolist()
        token = form.take(possible[int(choice.random() * len(possible))], limit - len(made))
        if token == END:
            break
        made.append(token)
    return made


@pytest.mark.parametrize("limit", [110, 200, 600])
def test_the_answer_is_valid_however_soon_it_must_end(limit: int) -> None:
    for seed in range(5):
        made = ramble(FORMS.open(asked(PERSON), ()), seed, limit)
        jsonschema.validate(json.loads(DEMO.decode(made)), PERSON)


def test_an_answer_that_goes_on_elsewhere_is_the_same() -> None:
    whole = ramble(FORMS.open(asked(PERSON), ()), 3, 130)
    for cut in range(0, len(whole), 7):
        assert ramble(FORMS.open(asked(PERSON), ()), 3, 130, tuple(whole[:cut])) == whole


def test_json_mode_makes_an_object() -> None:
    command = Generate("1", HELLO, Sampling(), response_format=ResponseFormat("json_object"))
    assert isinstance(json.loads(DEMO.decode(ramble(FORMS.open(command, ()), 1, 80))), dict)


def test_a_number_of_more_than_64_bits_is_one_like_others() -> None:
    schema = {"type": "array", "items": {"enum": [10**24, "x"]}, "minItems": 1, "maxItems": 2}
    assert {*json.loads(DEMO.decode(ramble(FORMS.open(asked(schema), ()), 1, 80)))} <= {10**24, "x"}


def test_an_answer_that_cannot_end_within_its_tokens_says_that_it_is_not_complete() -> None:
    form = FORMS.open(asked(PERSON), ())
    assert len(ramble(form, 0, 9)) == 9
    assert not form.complete


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "https://example.com/schema"}, "example.com"),
        ({"type": "integer", "minimum": 8, "maximum": 7}, "minimum"),
        ({"type": "string", "minLength": 10**30}, "minLength"),
        ([1], "object"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_name(schema: Any, named: str) -> None:
    with pytest.raises(PromptFailure, match=named):
        FORMS.open(asked(schema), ())


@pytest.mark.parametrize("mode", ["required", "named"])
def test_a_call_that_must_come_is_one(mode: Any) -> None:
    for seed in range(3):
        choice = ToolChoice(mode, "look_up")
        form = FORMS.open(Generate("1", HELLO, Sampling(), tools=TOOLS, tool_choice=choice), ())
        text = DEMO.decode(ramble(form, seed, 400))
        for said in text.split("<tool_call>")[1:]:
            call = json.loads(said.split("</tool_call>")[0])
            assert call["name"] in ("look_up", "now")[: 1 if mode == "named" else 2]
            jsonschema.validate(call["arguments"], PERSON if call["name"] == "look_up" else {})
        assert mode == "required" or text.count("<tool_call>") == 1


def test_a_strict_function_that_cannot_be_enforced_is_refused_and_another_is_as_far_as_can_be() -> None:
    schema = '{"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}, "required": ["a"]}'
    for strict in (True, False):
        tools = (ToolSpec("f", "", schema, strict=strict),)
        command = Generate("1", HELLO, Sampling(), tools=tools, tool_choice=ToolChoice("required"))
        if strict:
            with pytest.raises(PromptFailure, match="uniqueItems"):
                FORMS.open(command, ())
        else:
            assert '"a"' in DEMO.decode(ramble(FORMS.open(command, ()), 0, 120))


def test_a_named_function_that_is_not_offered_is_refused() -> None:
    command = Generate("1", HELLO, Sampling(), tools=TOOLS, tool_choice=ToolChoice("named", "nobody"))
    with pytest.raises(PromptFailure, match="nobody"):
        FORMS.open(command, ())


def spoken(form: Form, tokens: list[int], left: int) -> list[Generated]:
    """The pieces of a model that says these tokens."""
    pieces = []
    for token in tokens:
        assert form.take(token, left) == token
        pieces.append(form.shaped(Generated("1", DEMO.decode([token]), 1, -0.5, (token,))))
    return [piece for piece in pieces if piece is not None]


def test_a_model_that_calls_by_itself_is_held_to_the_schema_from_the_mark_on() -> None:
    form = FORMS.open(Generate("1", HELLO, Sampling(), tools=TOOLS), ())
    said = spoken(form, DEMO.encode("Let me see.\n<tool_call>"), 500)
    assert "".join(piece.text for piece in said) == "Let me see."
    choice, calls = random.Random(4), []
    while (allowed := form.allowed()) is not None:
        possible = allowed.nonzero().flatten().tolist()
        token = form.take(choice.choice(possible), 300 - len(calls))
        calls.append(form.shaped(Generated("1", DEMO.decode([token]), 1, -0.5, (token,))))
    assert not form.finished  # the text is free again
    last = form.last(Generated("1", "", 1, -0.5, (END,), finish_reason="stop"))
    pieces = [*said, *(piece for piece in calls if piece), last]
    deltas = [delta for piece in pieces for delta in piece.tool_calls]
    schema = PERSON if deltas[0].name == "look_up" else {"type": "object"}
    jsonschema.validate(json.loads("".join(delta.arguments for delta in deltas)), schema)
    assert last.finish_reason == "tool_calls"
    assert deltas[0].id
    everything = len(DEMO.encode("Let me see.\n<tool_call>")) + len(calls) + 1
    assert sum(piece.tokens for piece in pieces) == sum(len(piece.token_ids) for piece in pieces) == everything


def test_without_parallel_calls_the_answer_ends_with_the_first() -> None:
    form = FORMS.open(Generate("1", HELLO, Sampling(), tools=TOOLS, parallel_tool_calls=False), ())
    said = spoken(form, DEMO.encode('<tool_call>\n{"name": "now", "arguments": {}}'), 500)
    assert [delta.name for piece in said for delta in piece.tool_calls if delta.id] == ["now"]
    assert form.finished


def test_a_model_that_thinks_does_so_freely_and_answers_in_the_form() -> None:
    thinker = AutoTokenizer.from_pretrained(Path(__file__).parents[3] / "swarm/demo_model")
    thinker.add_tokens(["<think>", "</think>"])
    thinker.chat_template = "{{ messages[0].content }}<think>{# </think> #}"
    forms = Forms(thinker, {END}, len(thinker))
    command = Generate("1", HELLO, Sampling(), response_format=ResponseFormat("json_object"))
    form = forms.open(command, thinker.encode("hi<think>"))
    assert form.allowed() is None
    for token in thinker.encode("so what</think>"):
        form.take(token, 50)
        form.shaped(Generated("1", thinker.decode([token]), 1, -0.5, (token,)))
    allowed = form.allowed()
    assert allowed is not None
    assert {thinker.decode([token])[0] for token in allowed.nonzero().flatten().tolist()} == {"{"}
    last = form.last(Generated("1", '{"a": 1}', 3, -0.5, (2, 3, 4), finish_reason="stop"))
    assert (last.text, last.finish_reason) == ('{"a": 1}', "stop")


def test_a_form_beside_functions_is_that_or_calls() -> None:
    for seed in range(4):
        text = DEMO.decode(ramble(FORMS.open(asked(PERSON, tools=TOOLS), ()), seed, 400))
        assert text.startswith("<tool_call>") or not jsonschema.validate(json.loads(text), PERSON)


TEMPLATES = {
    "tags": "<tool_call>",
    "function_tags": "<tool_call><function=<parameter=",
    "mistral": "[TOOL_CALLS]",
    "mistral_named": "[TOOL_CALLS][ARGS]",
    "llama": '<|start_header_id|>"parameters"',
    "python": "func_name1(",
    "deepseek": "<｜tool▁calls▁begin｜>```json",
    "deepseek_plain": "<｜tool▁calls▁begin｜>",
    "listed": "<|tool_call|><|/tool_call|>",
    "granite": "<|tool_call|>",
    "harmony": "<|channel|><|message|>",
}


@pytest.mark.parametrize("specials", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_familys_grammar_makes_its_reader_reads(name: str, specials: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(Path(__file__).parents[3] / "swarm/demo_model")
    tokenizer.chat_template = "{% if tools %}" + TEMPLATES[name] + "{% endif %}"
    format = speech_of(tokenizer).format
    assert format.name == name
    if specials:
        tokenizer.add_special_tokens({"additional_special_tokens": [*format.marks, *format.also_seen]})
    forms = Forms(tokenizer, {END}, len(tokenizer))
    form = forms.open(Generate("1", HELLO, Sampling(), tools=TOOLS, tool_choice=ToolChoice("required")), ())
    text = Detokenizer(lambda ids: tokenizer.decode(ids, skip_special_tokens=False))
    said = tokenizer.encode("<|channel|>commentary") if name == "harmony" else []  # or it would think for ever
    choice, pieces, limit = random.Random(1), list[Generated | None](), 400
    while len(pieces) < limit and not form.finished:
        allowed = form.allowed()
        assert allowed is not None
        drawn = said.pop(0) if said else choice.choice(allowed.nonzero().flatten().tolist())
        token = form.take(drawn, limit - len(pieces))
        if token == END:
            break
        pieces.append(form.shaped(Generated("1", text.add(token), 1, -0.5, (token,))))
    pieces.append(form.last(Generated("1", text.finish(), 0, 0.0, (), finish_reason="stop")))
    deltas = [delta for piece in pieces if piece for delta in piece.tool_calls]
    calls = [delta for delta in deltas if delta.id]
    assert calls
    assert not "".join(piece.text for piece in pieces if piece)
    for call in calls:
        arguments = "".join(delta.arguments for delta in deltas if delta.index == call.index)
        jsonschema.validate(json.loads(arguments), PERSON if call.name == "look_up" else {"type": "object"})
