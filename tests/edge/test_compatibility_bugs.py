"""The bugs reported most often against OpenAI-compatible servers, one test each, with the official client as judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import numpy
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, RequestError, Unavailable
from swarm.domain.generation import ChatMessage, GenerationRequest, TextDelta, Usage
from swarm.domain.tools import ResponseFormat, ToolCallDelta
from tests.fakes.api_node import LOCAL, FakeNode, ScriptedAnswers

QUESTION: Any = [{"role": "user", "content": "Hi"}]
CHAT: dict[str, Any] = {"messages": QUESTION}
NOW: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
LAST = TextDelta(finish_reason="stop", usage=Usage(3, 2), provenance=LOCAL)


@dataclass
class Deltas(ScriptedAnswers):
    """Says these, whatever is asked."""

    deltas: Sequence[TextDelta] = ()

    async def stream(self, request: GenerationRequest):
        self.asked.append(request)
        for delta in self.deltas:
            yield delta


@dataclass
class Caller:
    node: FakeNode
    openai: openai.AsyncOpenAI
    http: aiohttp.ClientSession

    async def chunks(self, **body: Any) -> list[dict[str, Any]]:
        """Of a stream, as they are on the wire."""
        reply = await self.http.post("/v1/chat/completions", json=CHAT | {"stream": True} | body)
        events = (await reply.text()).split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


@asynccontextmanager
async def caller(answers: ScriptedAnswers | None = None, **settings: Any) -> AsyncIterator[Caller]:
    node = FakeNode(answers or ScriptedAnswers())
    async with ApiServer(node.services(), ApiSettings(**{"port": 0, **settings}), "127.0.0.1") as server:
        url = f"http://{server.endpoint}"
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
            aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(10)) as session,
        ):
            yield Caller(node, client, session)


async def test_1_the_finish_reason_is_null_until_the_last_chunk_and_the_role_comes_once() -> None:
    async with caller() as call:
        chunks = await call.chunks()
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert ["role" in choice["delta"] for choice in choices] == [True] + [False] * (len(choices) - 1)
    assert choices[-1]["delta"] == {}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


async def test_2_the_usage_comes_where_it_is_asked_for_and_nowhere_else() -> None:
    async with caller() as call:
        assert all(chunk["choices"] and "usage" not in chunk for chunk in await call.chunks())
        asked = await call.chunks(stream_options={"include_usage": True})
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["total_tokens"] == 5
    assert all(chunk["usage"] is None for chunk in asked[:-1])


async def test_3_parallel_calls_have_an_index_and_an_id_each() -> None:
    calls = (
        TextDelta(tool_calls=(ToolCallDelta(0, "a", "now"),)),
        TextDelta(tool_calls=(ToolCallDelta(0, arguments="{}"),)),
        TextDelta(tool_calls=(ToolCallDelta(1, "b", "now"), ToolCallDelta(1, arguments='{"x": '))),
        TextDelta(tool_calls=(ToolCallDelta(1, arguments="1}"),)),
        replace(LAST, finish_reason="tool_calls"),
    )
    async with caller(Deltas(deltas=calls)) as call:
        async with call.openai.chat.completions.stream(model="x", messages=QUESTION, tools=[NOW]) as stream:
            final = await stream.get_final_completion()
        whole = await call.openai.chat.completions.create(model="", messages=QUESTION, tools=[NOW])
    for reply in (final, whole):
        made = reply.choices[0].message.tool_calls
        assert [(one.id, one.function.name, one.function.arguments) for one in made] == [
            ("a", "now", "{}"),
            ("b", "now", '{"x": 1}'),
        ]
        assert reply.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content is None


@pytest.mark.parametrize("stream", [False, True])
async def test_4_whoever_hangs_up_stops_the_generation(stream: bool) -> None:
    answers = ScriptedAnswers(hold_at=1)
    async with caller(answers) as call:
        asking = asyncio.create_task(call.openai.chat.completions.create(model="", messages=QUESTION, stream=stream))
        async with asyncio.timeout(30):
            while not answers.asked:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            if asking.done():
                await asking.result().close()
            asking.cancel()
            await answers.closed.wait()


async def test_5_characters_are_never_split_and_a_stream_says_what_the_whole_says() -> None:
    texts = ["👩‍🚀 ", "日本", "語", " e\N{COMBINING ACUTE ACCENT}"]
    async with caller(ScriptedAnswers(texts=texts)) as call:
        streamed = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in await call.chunks())
        whole = await call.openai.chat.completions.create(model="", messages=QUESTION)
    assert streamed == whole.choices[0].message.content == "".join(texts)


async def test_6_a_prompt_beyond_the_context_is_refused_with_the_counts() -> None:
    words = "This model's maximum context length is 8 tokens. However, your prompt has 9 tokens."
    refusal = RequestError(words, param="messages", code="context_length_exceeded")
    async with caller(ScriptedAnswers(error=refusal)) as call:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError, match="maximum context length is 8 tokens") as caught:
                await call.openai.chat.completions.create(model="", messages=QUESTION, stream=stream)
            assert caught.value.code == "context_length_exceeded"


async def test_7_a_page_may_send_whatever_headers_its_client_has_this_year() -> None:
    origin = "http://localhost:3000"
    named = "authorization,content-type,x-stainless-helper-method,x-something-of-next-year"
    async with caller(cors_origins=(origin,)) as call:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": named}
        reply = await call.http.options("/v1/chat/completions", headers=headers)
    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Headers"] == named


async def test_8_parts_of_text_are_joined_and_the_developer_is_known() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    messages: Any = [{"role": "developer", "content": parts}, {"role": "user", "content": parts}]
    async with caller() as call:
        await call.openai.chat.completions.create(model="", messages=messages)
        (asked,) = call.node.answers.asked
        assert asked.prompt == (ChatMessage("developer", "one two"), ChatMessage("user", "one two"))
        image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
        with pytest.raises(openai.BadRequestError):
            await call.openai.chat.completions.create(model="", messages=image)


async def test_9_stop_strings_reach_the_model_from_both_endpoints() -> None:
    async with caller() as call:
        await call.openai.chat.completions.create(model="", messages=QUESTION, stop=["ab", "c"])
        await call.openai.completions.create(model="", prompt="x", stop="ab")
        assert [request.sampling.stop for request in call.node.answers.asked] == [("ab", "c"), ("ab",)]


async def test_10_a_format_is_asked_of_the_model_or_refused_and_never_forgotten() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    unnamed: Any = {"type": "json_schema"}
    async with caller() as call:
        named: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        await call.openai.chat.completions.create(model="", messages=QUESTION, response_format=named)
        (asked,) = call.node.answers.asked
        assert asked.response_format == ResponseFormat("json_schema", json.dumps(schema))
        with pytest.raises(openai.BadRequestError) as caught:
            await call.openai.chat.completions.create(model="", messages=QUESTION, response_format=unnamed)
    assert caught.value.param == "response_format.json_schema"


async def test_11_unknown_keys_are_ignored_on_every_endpoint() -> None:
    junk = {"junk": {"deep": [1]}, "store": True, "metadata": {"a": "b"}, "service_tier": "auto", "prediction": None}
    bodies = {
        "chat/completions": {"messages": [{**QUESTION[0], "cache_control": {"type": "ephemeral"}}]},
        "completions": {"prompt": "x"},
        "responses": {"input": "x"},
        "embeddings": {"input": "x"},
        "tokenize": {"prompt": "x"},
    }
    async with caller() as call:
        for path, body in bodies.items():
            assert (await call.http.post(f"/v1/{path}", json=body | junk)).status == 200


async def test_12_tools_of_unknown_types_do_not_spoil_the_request() -> None:
    tools: Any = [
        {"type": "namespace", "name": "x", "tools": []},
        {"type": "web_search"},
        {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]
    async with caller() as call:
        reply = await call.openai.responses.create(
            model="", input="Hi", tools=tools, tool_choice="auto", include=["reasoning.encrypted_content"]
        )
        assert reply.output_text == "Hello"
        assert [tool.name for tool in call.node.answers.asked[0].tools] == ["now"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError("no", status=404, code="model_not_found"), 404),
        (Unavailable("full", busy=True), 429),
        (Unavailable("loading"), 503),
        (BackendError("died"), 500),
        (KeyError("bug"), 500),
    ],
)
async def test_13_every_failure_has_the_one_shape(error: Exception, status: int) -> None:
    async with caller(ScriptedAnswers(error=error)) as call:
        reply = await call.http.post("/v1/chat/completions", json=CHAT)
        assert reply.status == status
        told = (await reply.json())["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert isinstance(told["code"], str)


async def test_14_vectors_are_the_same_in_both_encodings() -> None:
    """The client asks for base64 by itself, and decodes it."""
    async with caller() as call:
        packed = (await call.openai.embeddings.create(model="", input=["a"])).data[0].embedding
        plain = (await call.openai.embeddings.create(model="", input=["a"], encoding_format="float")).data[0].embedding
    assert numpy.allclose(packed, plain, atol=1e-6)
    assert len(plain) == 3


async def test_15_a_silent_stream_is_kept_open_by_comments() -> None:
    assert ApiSettings().keep_alive_s <= 15
    answers = ScriptedAnswers(hold_at=0)
    async with caller(answers, keep_alive_s=0.02) as call:
        asking = asyncio.create_task(call.openai.chat.completions.create(model="", messages=QUESTION, stream=True))
        stream = await asyncio.wait_for(asking, 30)  # the head has come although no token has
        answers.go.set()
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_next_in_line_reasoning_has_both_names_and_replies_are_valid_throughout() -> None:
    deltas = (TextDelta(reasoning="hm"), TextDelta("ok", 1), LAST)
    async with caller(Deltas(deltas=deltas)) as call:
        chunks = await call.chunks()
        reply = await (await call.http.post("/v1/chat/completions", json=CHAT)).json()
    assert chunks[1]["choices"][0]["delta"] == {"reasoning": "hm", "reasoning_content": "hm"}
    ChatCompletion.model_validate(reply, strict=True)
    assert reply["choices"][0]["message"]["reasoning_content"] == "hm"
