"""The official Python client, unchanged, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import openai
import pytest

from swarm.api.server import ApiServer
from swarm.api.settings import ApiSettings
from swarm.domain.errors import BackendError, RequestError, Unavailable
from tests.fakes.api_node import DECISION, LOCAL, MODEL, FakeNode, ScriptedAnswers, peer

QUESTION = [{"role": "user", "content": "Hi"}]


@asynccontextmanager
async def client_of(node: FakeNode) -> AsyncIterator[openai.AsyncOpenAI]:
    async with ApiServer(node.services(), ApiSettings(port=0), "127.0.0.1") as server:
        base_url = f"http://{server.endpoint}/v1"
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
            yield client


async def test_a_chat_answers_with_text_usage_and_how_it_came_about() -> None:
    node = FakeNode(ScriptedAnswers(provenance=replace(LOCAL, route="federation", decision=DECISION)))
    async with client_of(node) as client:
        reply = await client.chat.completions.create(model="", messages=QUESTION, max_tokens=9, temperature=0)
    assert reply.choices[0].message.content == "Hello"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 5
    assert reply.model == MODEL.id
    swarm = reply.model_extra["swarm"]
    assert swarm["decision"]["ballots"][0]["answer"] == "four"
    sampling = node.answers.asked[0].sampling
    assert (sampling.max_tokens, sampling.temperature) == (9, 0)


async def test_a_stream_has_one_id_and_the_usage_only_when_asked() -> None:
    async with client_of(FakeNode()) as client:
        for options in ({}, {"stream_options": {"include_usage": True}}):
            stream = await client.chat.completions.create(model="", messages=QUESTION, stream=True, **options)
            chunks = [chunk async for chunk in stream]
            assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
            with_choices = [chunk for chunk in chunks if chunk.choices]
            assert [chunk.choices[0].finish_reason for chunk in with_choices] == [None, None, None, "stop"]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in with_choices) == "Hello"
            assert [chunk.usage is not None for chunk in chunks][-1] is bool(options)


async def test_n_choices_have_seeds_of_their_own_and_share_the_prompt_in_the_usage() -> None:
    node = FakeNode()
    async with client_of(node) as client:
        reply = await client.chat.completions.create(model="", messages=QUESTION, n=3, seed=7)
        stream = await client.chat.completions.create(model="", messages=QUESTION, n=2, stream=True)
        indexes = {chunk.choices[0].index async for chunk in stream}
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert [request.sampling.seed for request in node.answers.asked[:3]] == [7, 8, 9]
    assert len({request.id for request in node.answers.asked}) == 5
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 6)
    assert indexes == {0, 1}


async def test_a_completion_continues_raw_text_whole_and_streamed() -> None:
    node = FakeNode()
    async with client_of(node) as client:
        reply = await client.completions.create(model="", prompt=["one", "two"], stop="x")
        stream = await client.completions.create(model="", prompt="one", stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
    assert [choice.text for choice in reply.choices] == ["Hello", "Hello"]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 6
    assert {request.prompt for request in node.answers.asked} == {"one", "two"}
    assert (node.answers.asked[0].sampling.max_tokens, node.answers.asked[0].sampling.stop) == (16, ("x",))
    assert text == "Hello"


async def test_models_are_this_nodes_and_those_of_peers_that_answer() -> None:
    other = replace(MODEL, id="org/other", digest="d2")
    living = peer("pc", "b" * 32)
    assert living.status is not None
    living = replace(living, status=replace(living.status, model=other))
    async with client_of(FakeNode(peers=(living,))) as client:
        assert [model.id for model in (await client.models.list()).data] == [MODEL.id, "org/other"]
        assert (await client.models.retrieve("org/other")).created == MODEL.created
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("nobody/has-it")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (
            RequestError("no such model", param="model", code="model_not_found", status=404),
            openai.NotFoundError,
            "model_not_found",
        ),
        (Unavailable("queue", busy=True), openai.RateLimitError, "queue_full"),
        (BackendError("the worker ended"), openai.InternalServerError, "backend_failed"),
        (ValueError("secret text"), openai.InternalServerError, "internal_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_piece_has_a_real_status(
    error: Exception, kind: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    async with client_of(FakeNode(ScriptedAnswers(error=error))) as client:
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model="", messages=QUESTION, stream=stream)
    assert caught.value.code == code
    assert caught.value.request_id
    assert "secret" not in str(caught.value)


async def test_an_error_amid_a_stream_reaches_the_caller_in_words() -> None:
    async with client_of(FakeNode(ScriptedAnswers(error=BackendError("the worker ended"), error_at=1))) as client:
        stream = await client.chat.completions.create(model="", messages=QUESTION, stream=True)
        with pytest.raises(openai.APIError, match="the worker ended"):
            [chunk async for chunk in stream]


async def test_a_source_that_ends_without_a_finish_reason_is_an_error() -> None:
    class BreaksOff(ScriptedAnswers):
        async def stream(self, request):
            async for delta in super().stream(request):
                if delta.finish_reason is None:
                    yield delta

    async with client_of(FakeNode(BreaksOff())) as client:
        with pytest.raises(openai.InternalServerError, match="broke off"):
            await client.chat.completions.create(model="", messages=QUESTION)


async def test_the_swarm_object_of_the_body_chooses_the_strategy() -> None:
    node = FakeNode()
    async with client_of(node) as client:
        for swarm in ({"strategy": "best_of_n"}, {"federation": True}, {"federation": False}):
            await client.chat.completions.create(model="", messages=QUESTION, extra_body={"swarm": swarm})
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="", messages=QUESTION, extra_body={"swarm": {"strategy": "x"}})
    asked = [(request.strategy, request.alone) for request in node.answers.asked]
    assert asked == [("best_of_n", False), ("weighted_vote", False), (None, True)]
    assert caught.value.param == "swarm.strategy"
