"""Structured output and calls of a real worker with the model on board: whole here, and on a chain of two nodes."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from swarm.domain.errors import RequestError
from swarm.domain.generation import ChatMessage, GenerationRequest, Resume, Sampling, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.tools import ResponseFormat, ToolChoice, ToolSpec
from swarm.engine.engine import Engine
from tests.edge.test_engine_worker import answer, text
from tests.fakes.random_schemas import Drawn, drawn

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMAS = 10
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TOOLS = (ToolSpec("add", "Adds two numbers", json.dumps(PARAMETERS)), ToolSpec("now", "Tells the time"))
ASKED = GenerationRequest(
    RequestId("r"), (ChatMessage("user", "What is 12 + 7?"),), Sampling(seed=1, max_tokens=120), tools=TOOLS
)


def structured(case: Drawn, seed: int) -> GenerationRequest:
    return GenerationRequest(
        RequestId(f"r{seed}"),
        (ChatMessage("user", case.prompt),),
        Sampling(seed=seed, max_tokens=120),
        response_format=ResponseFormat("json_schema", case.text),
    )


async def assert_valid(engine: Engine) -> list[str]:
    texts = []
    for seed in range(SCHEMAS):
        case = drawn(seed)
        deltas = await answer(engine, structured(case, seed))
        assert deltas[-1].finish_reason == "stop"
        jsonschema.validate(json.loads(text(deltas)), case.schema)
        texts.append(text(deltas))
    return texts


def calls_of(deltas: list[TextDelta]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each."""
    made: list[tuple[str, str, str]] = []
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        if piece.index == len(made):
            assert piece.id
            assert piece.name
            made.append((piece.id, piece.name, ""))
        id, name, arguments = made[piece.index]
        made[piece.index] = (id, name, arguments + piece.arguments)
    return made


async def assert_calls(engine: Engine) -> None:
    required = await answer(engine, replace(ASKED, tool_choice=ToolChoice("required")))
    named = await answer(engine, replace(ASKED, tool_choice=ToolChoice("named", "add")))
    for deltas in (required, named):
        assert deltas[-1].finish_reason == "tool_calls"
        assert text(deltas) == ""
        calls = calls_of(deltas)
        assert len({id for id, _, _ in calls}) == len(calls) > 0
        for _, name, arguments in calls:
            jsonschema.validate(json.loads(arguments), PARAMETERS if name == "add" else {"type": "object"})
    assert [name for _, name, _ in calls_of(named)] == ["add"]
    free = await answer(engine, ASKED)
    assert text(free) or calls_of(free)
    assert text(await answer(engine, replace(ASKED, tool_choice=ToolChoice("none")))).endswith("19.")


async def test_random_schemas_and_calls_here_and_on_a_chain(whole: Engine, chain: Engine) -> None:
    here = await assert_valid(whole)
    await assert_calls(whole)
    await assert_goes_on(whole)
    with pytest.raises(RequestError, match="uniqueItems"):
        await answer(whole, structured(Drawn({"type": "array", "uniqueItems": True}, ""), 0))
    assert await assert_valid(chain) == here
    await assert_calls(chain)


async def assert_goes_on(engine: Engine) -> None:
    """An answer that broke off goes on, within its form, with the tokens that were sent."""
    asked = structured(drawn(1), 1)
    deltas = await answer(engine, asked)
    assert engine.state.model is not None
    for cut in (1, len(deltas) // 2, len(deltas) - 2):
        sent = tuple(token for delta in deltas[:cut] for token in delta.token_ids)
        rest = await answer(engine, replace(asked, resume=Resume(sent, engine.state.model.digest)))
        assert text(deltas[:cut]) + text(rest) == text(deltas)
