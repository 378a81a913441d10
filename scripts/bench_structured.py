"""Structured output measured: how many answers to random schemas are valid, whole here and on a chain, and what the
grammar costs.

    python -m scripts.bench_structured            # 200 schemas on each of the two, then the cost
    python -m scripts.bench_structured --only cost
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema
from transformers import AutoTokenizer

from swarm.domain.generation import ChatMessage, GenerationRequest, Sampling, TextDelta
from swarm.domain.ids import RequestId
from swarm.domain.tools import ResponseFormat
from swarm.engine.engine import Engine
from swarm.engine.model_choice import demo_folder
from swarm.worker.decoder.grammar.closing import shortest_end
from swarm.worker.decoder.grammar.schemas import format_grammar
from swarm.worker.decoder.grammar.vocabulary import GrammarVocabulary
from tests.edge.engines import chain_engine, whole_engine
from tests.edge.test_engine_worker import answer, text
from tests.fakes.random_schemas import Drawn, drawn

MAX_TOKENS = 200
FREE = GenerationRequest(RequestId("free"), "9" * 60, Sampling(temperature=0.0, max_tokens=MAX_TOKENS, ignore_eos=True))


@dataclass(frozen=True, slots=True)
class Checked:
    seed: int
    tokens: int
    seconds: float
    problem: str | None


async def check(engine: Engine, seed: int) -> Checked:
    case = drawn(seed)
    started = time.perf_counter()
    deltas = await answer(engine, request(case, seed))
    seconds = time.perf_counter() - started
    usage = deltas[-1].usage
    return Checked(seed, usage.completion_tokens if usage else 0, seconds, problem_of(case, deltas))


def request(case: Drawn, seed: int) -> GenerationRequest:
    return GenerationRequest(
        RequestId(f"r{seed}"),
        (ChatMessage("user", case.prompt),),
        Sampling(seed=seed, max_tokens=MAX_TOKENS),
        response_format=ResponseFormat("json_schema", case.text),
    )


def problem_of(case: Drawn, deltas: Sequence[TextDelta]) -> str | None:
    try:
        jsonschema.validate(json.loads(text(list(deltas))), case.schema)
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{case.text}: {error}"
    return None if deltas[-1].finish_reason == "stop" else f"ended by {deltas[-1].finish_reason}"


async def measure(name: str, engine: Engine, count: int) -> None:
    checked = [await check(engine, seed) for seed in range(count)]
    for case in checked:
        if case.problem:
            print(f"{name} schema {case.seed}: {case.problem}")
    valid = sum(case.problem is None for case in checked)
    tokens, seconds = sum(case.tokens for case in checked), sum(case.seconds for case in checked)
    started = time.perf_counter()
    free = await answer(engine, FREE)
    free_s = (time.perf_counter() - started) / (free[-1].usage.completion_tokens if free[-1].usage else 1)
    ratio = seconds / tokens / free_s
    print(f"| {name} | {valid} of {count} | {tokens} | {1000 * seconds / tokens:.2f} ms | {ratio:.2f} |", flush=True)


async def validity(count: int) -> None:
    print("| model | valid | tokens | a token | times a free token |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        async with whole_engine(Path(folder)) as engine:
            await measure("whole here", engine, count)
        async with chain_engine(Path(folder)) as engine:
            await measure("chain of two", engine, count)


def cost(count: int) -> None:
    """Of the grammar alone, on the demo model's vocabulary: what every token pays, and what is paid near the limit."""
    tokenizer = AutoTokenizer.from_pretrained(demo_folder())
    started = time.perf_counter()
    vocabulary = GrammarVocabulary(tokenizer, {int(tokenizer.eos_token_id)}, len(tokenizer))
    _ = vocabulary.closing
    built_s = time.perf_counter() - started
    compiled_s = masked_s = closed_s = 0.0
    for seed in range(count):
        started = time.perf_counter()
        matcher = vocabulary.matcher(format_grammar(ResponseFormat("json_schema", drawn(seed).text)))
        compiled_s += time.perf_counter() - started
        started = time.perf_counter()
        vocabulary.allowed(matcher)
        masked_s += time.perf_counter() - started
        started = time.perf_counter()
        shortest_end(matcher, vocabulary, MAX_TOKENS)
        closed_s += time.perf_counter() - started
    print("| once a model | a schema | first mask | way to a valid end |\n| --- | --- | --- | --- |")
    times = (built_s, compiled_s / count, masked_s / count, closed_s / count)
    print("| " + " | ".join(f"{1000 * seconds:.2f} ms" for seconds in times) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=200)
    parser.add_argument("--only", choices=["validity", "cost"])
    asked = parser.parse_args()
    if asked.only != "cost":
        asyncio.run(validity(asked.schemas))
    if asked.only != "validity":
        cost(asked.schemas)


if __name__ == "__main__":
    main()
