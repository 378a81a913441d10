"""/v1/responses, through the official Python client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import openai
import pytest

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, RequestError
from swarm.domain.generation import ChatMessage, GenerationRequest, TextDelta, Usage
from swarm.domain.tokens import TokenLogprob
from swarm.domain.tools import MadeToolCall, ResponseFormat, ToolCallDelta, ToolChoice
from tests.fakes.api_node import LOCAL, FakeNode, ScriptedAnswers

NOW = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False}
LAST = TextDelta(finish_reason="stop", usage=Usage(3, 2), provenance=LOCAL)


@dataclass
class Deltas(ScriptedAnswers):
    """Says these, whatever is asked."""

    deltas: Sequence[TextDelta] = ()

    async def stream(self, request: GenerationRequest):
        self.asked.append(request)
        for delta in self.deltas:
            yield delta


@asynccontextmanager
async def client_of(answers: ScriptedAnswers) -> AsyncIterator[openai.AsyncOpenAI]:
    async with ApiServer(FakeNode(answers).services(), ApiSettings(port=0), "127.0.0.1") as server:
        base_url = f"http://{server.endpoint}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
            yield client


async def test_text_comes_as_one_message() -> None:
    async with client_of(ScriptedAnswers()) as client:
        reply = await client.responses.create(model="", input="Hi", instructions="be brief", max_output_tokens=9)
    assert (reply.output_text, reply.status) == ("Hello", "completed")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)
    assert reply.model_extra["swarm"]["route"] == "local"


async def test_events_come_in_order_and_make_the_same_response() -> None:
    async with client_of(ScriptedAnswers()) as client:
        events = [event async for event in await client.responses.create(model="", input="Hi", stream=True)]
        async with client.responses.stream(model="x", input="Hi") as stream:
            final = await stream.get_final_response()
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == final.output_text == "Hello"
    assert events[2].item.content == []


async def test_calls_have_items_and_events_of_their_own() -> None:
    pieces = (
        TextDelta(reasoning="hm"),
        TextDelta("So: ", 1),
        TextDelta(tool_calls=(ToolCallDelta(0, "c1", "now"),)),
        TextDelta(tool_calls=(ToolCallDelta(0, arguments='{"a"'), ToolCallDelta(0, arguments=": 1}"))),
        TextDelta(tool_calls=(ToolCallDelta(1, name="now", arguments="{}"),)),
        replace(LAST, finish_reason="tool_calls"),
    )
    answers = Deltas(deltas=pieces)
    async with client_of(answers) as client:
        whole = await client.responses.create(model="", input="Hi", tools=[NOW, {"type": "web_search"}])
        events = [e async for e in await client.responses.create(model="", input="Hi", tools=[NOW], stream=True)]
    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call", "function_call"]
    assert [call.arguments for call in whole.output[2:]] == ['{"a": 1}', "{}"]
    assert whole.output[2].call_id == "c1"
    assert whole.output[3].call_id
    assert [item.type for item in events[-1].response.output] == [item.type for item in whole.output]
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [(event.output_index, event.arguments) for event in done] == [(2, '{"a": 1}'), (3, "{}")]
    assert [tool.name for tool in answers.asked[0].tools] == ["now"]


async def test_a_whole_conversation_with_calls_is_the_input() -> None:
    answers = ScriptedAnswers()
    items: Any = [
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": "be "}, {"type": "input_text", "text": "nice"}],
        },
        {"type": "message", "role": "user", "content": "time?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
    ]
    schema = {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}
    async with client_of(answers) as client:
        await client.responses.create(
            model="", input=items, text={"format": schema}, tools=[NOW], tool_choice={"type": "function", "name": "now"}
        )
    (asked,) = answers.asked
    assert asked.prompt == (
        ChatMessage("developer", "be nice"),
        ChatMessage("user", "time?"),
        ChatMessage("assistant", "", (MadeToolCall("c1", "now", "{}"), MadeToolCall("c2", "now", "{}"))),
        ChatMessage("tool", "12:00", tool_call_id="c1"),
    )
    assert asked.response_format == ResponseFormat("json_schema", '{"type": "object"}')
    assert asked.tool_choice == ToolChoice("named", "now")


@pytest.mark.parametrize(
    ("param", "body"),
    [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("conversation", {"conversation": "conv_1"}),
        ("background", {"background": True}),
        ("truncation", {"truncation": "auto"}),
        ("input[0].type", {"input": [{"type": "item_reference", "id": "x"}]}),
        ("input[0].content[0].type", {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tools[0].name", {"tools": [{"type": "function"}]}),
        ("max_output_tokens", {"max_output_tokens": 0}),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(param: str, body: dict[str, Any]) -> None:
    async with client_of(ScriptedAnswers()) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(**({"model": "", "input": "Hi"} | body))
    assert caught.value.param == param


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_that_is_too_long_is_the_input(stream: bool) -> None:
    too_long = RequestError("too long", param="messages", code="context_length_exceeded")
    async with client_of(ScriptedAnswers(error=too_long)) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="", input="Hi", stream=stream)
    assert caught.value.param == "input"


async def test_a_failure_amid_the_events_is_the_last_of_them() -> None:
    async with client_of(ScriptedAnswers(error=BackendError("the worker ended"), error_at=1)) as client:
        events = [event async for event in await client.responses.create(model="", input="Hi", stream=True)]
    assert events[-1].type == "response.failed"
    assert "the worker ended" in events[-1].response.error.message


async def test_an_answer_that_is_cut_says_so_and_logprobs_come_where_asked_for() -> None:
    token = TokenLogprob("a", (97,), -0.5)
    answers = Deltas(deltas=(TextDelta("a", 1, token_logprobs=(token,)), replace(LAST, finish_reason="length")))
    async with client_of(answers) as client:
        reply = await client.responses.create(model="", input="Hi", include=["message.output_text.logprobs"])
    assert reply.status == "incomplete"
    assert reply.incomplete_details.reason == "max_output_tokens"
    assert reply.output[0].content[0].logprobs[0].token == "a"
    assert answers.asked[0].sampling.logprobs == 0
