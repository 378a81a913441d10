"""What a request can ask of a real worker: the same of a whole model here and of a chain of two nodes."""

from __future__ import annotations

import asyncio
import math

import pytest

from swarm.domain.errors import RequestError
from swarm.domain.generation import GenerationRequest, Sampling, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.tokens import TokenLogprob, TokenPrompt
from swarm.engine.engine import Engine
from swarm.engine.model_tools import WorkerTools
from tests.edge.test_engine_worker import ENDLESS, QUESTION, answer, request, text

pytestmark = pytest.mark.asyncio(loop_scope="module")
TIMES, ALONE = 20, 5
BESIDE = 8
SEEDED = {
    "temperature": 2.0,
    "top_k": 400,
    "top_p": 0.98,
    "min_p": 0.001,
    "presence_penalty": 0.3,
    "frequency_penalty": 0.2,
    "repetition_penalty": 1.1,
    "seed": 5,
    "max_tokens": 12,
    "ignore_eos": True,
}
NONSENSE = "zq"
"""What follows is anybody's guess, so that every draw counts."""
HINDI = "\u0928\u092e\u0938\u094d\u0924\u0947"


async def alone_and_beside_others(engine: Engine, asked: GenerationRequest) -> list[str]:
    """Texts of which some are made while nothing else runs, and more while others do."""
    alone = [text(await answer(engine, asked)) for _ in range(ALONE)]
    others = [asyncio.create_task(_endless(engine, number)) for number in range(BESIDE)]
    try:
        return alone + [text(await answer(engine, asked)) for _ in range(TIMES - ALONE)]
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _endless(engine: Engine, number: int) -> None:
    while True:
        await answer(engine, request(ENDLESS, temperature=1.0, seed=number, max_tokens=30, ignore_eos=True))


def tokens(deltas: list[TextDelta]) -> list[TokenLogprob]:
    return [token for delta in deltas for token in delta.token_logprobs]


def logprobs(deltas: list[TextDelta]) -> list[float]:
    return [token.logprob or 0.0 for token in tokens(deltas)]


async def test_the_same_seed_says_the_same_alone_and_beside_others(whole: Engine) -> None:
    texts = await alone_and_beside_others(whole, request(NONSENSE, **SEEDED))
    assert (len(texts), len(set(texts))) == (TIMES, 1)
    assert text(await answer(whole, request(NONSENSE, **{**SEEDED, "seed": 6}))) != texts[0]


async def test_a_chain_says_the_same_as_one_node_alone_and_beside_others(whole: Engine, chain: Engine) -> None:
    seeded, greedy = [text(await answer(whole, asked)) for asked in (request(NONSENSE, **SEEDED), request())]
    texts = await alone_and_beside_others(chain, request(NONSENSE, **SEEDED))
    assert (len(texts), set(texts)) == (TIMES, {seeded})
    assert text(await answer(chain, request())) == greedy


async def test_what_is_told_of_tokens_texts_and_hops_is_the_same_here_and_on_a_chain(
    whole: Engine, chain: Engine
) -> None:
    one, other = [await answer(engine, request(logprobs=3)) for engine in (whole, chain)]
    assert logprobs(one) == pytest.approx(logprobs(other), abs=1e-3)
    assert "".join(token.token for token in tokens(one)) == text(one) == text(other)
    assert {len(token.top) for token in (*tokens(one), *tokens(other))} == {3}

    asked = GenerationRequest(RequestId("e"), "12 + 30 = 42", Sampling(max_tokens=0, logprobs=1), echo=True)
    echoed = [await answer(engine, asked) for engine in (whole, chain)]
    assert logprobs(echoed[0]) == pytest.approx(logprobs(echoed[1]), abs=1e-3)
    assert text(echoed[0]) == "12 + 30 = 42"
    assert echoed[0][-1].usage is not None
    assert echoed[0][-1].usage.completion_tokens == 0
    assert len(tokens(echoed[0])) == echoed[0][-1].usage.prompt_tokens

    texts = ("12 + 30", HINDI, TokenPrompt((7, 8, 9)))
    here, there = [await WorkerTools(engine).embed(texts) for engine in (whole, chain)]
    for vector, its_twin in zip(here.vectors, there.vectors, strict=True):
        assert math.sqrt(sum(number * number for number in vector)) == pytest.approx(1, abs=1e-5)
        assert vector == pytest.approx(its_twin, abs=1e-5)
    assert (here.prompt_tokens, here.model) == (there.prompt_tokens, "swarm-demo")

    alone, hops = [await WorkerTools(engine).probe() for engine in (whole, chain)]
    assert (alone.route, alone.hops) == ("local", ())
    assert (hops.route, [(hop.node, hop.start, hop.end) for hop in hops.hops]) == (
        "chain",
        [("", 0, 3), ("last", 3, 6)],
    )
    assert 0 < sum(hop.seconds for hop in hops.hops) <= hops.seconds
    assert all(0 < (hop.compute_s or 0) < hop.seconds for hop in hops.hops)


async def test_texts_become_tokens_and_tokens_texts(whole: Engine) -> None:
    tools = WorkerTools(whole)
    cut = await tools.tokenize(HINDI)
    assert len(cut.ids) == len(cut.tokens) == len(HINDI.encode())
    assert cut.context_tokens == 1024
    assert await tools.detokenize(cut.ids) == HINDI
    counted = (await answer(whole, request(max_tokens=1)))[-1].usage
    assert counted is not None
    assert len((await tools.tokenize(QUESTION)).ids) == counted.prompt_tokens
    for refused in (tools.detokenize([5000]), tools.embed([TokenPrompt((-1,))]), tools.embed([""])):
        with pytest.raises(RequestError):
            await refused
    with pytest.raises(RequestError, match="maximum context length") as error:
        await tools.embed(["9 " * 2000])
    assert error.value.param == "input"


async def test_parameters_do_what_they_say(whole: Engine) -> None:
    usual = text(await answer(whole, request()))
    ids = [token for delta in await answer(whole, request()) for token in delta.token_ids]
    banned = text(await answer(whole, request(logit_bias=((ids[0], -100.0),))))
    assert banned != usual
    stopped = await answer(whole, request(stop_token_ids=(ids[2],)))
    assert (stopped[-1].finish_reason, sum(delta.tokens for delta in stopped)) == ("stop", 3)
    longer = await answer(whole, request(ignore_eos=True, max_tokens=len(ids) + 20))
    assert longer[-1].finish_reason == "length"
    assert text(longer).startswith(usual)
    patient = await answer(whole, request(min_tokens=len(ids) + 5, max_tokens=len(ids) + 50))
    assert sum(delta.tokens for delta in patient) > len(ids) + 5
    assert text(await answer(whole, request(temperature=2.0, top_k=1, seed=1))) == usual
    assert text(await answer(whole, request(temperature=2.0, min_p=1.0, seed=1))) == usual
    with pytest.raises(RequestError, match="logit_bias"):
        await answer(whole, request(logit_bias=((10**6, 1.0),)))
