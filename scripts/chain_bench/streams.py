"""Tokens per second of all streams together, over two nodes that hold half of the blocks each."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from .checkpoints import Model, add_model_arguments, chosen_models
from .nodes import Answer, Node, join, node, together
from .tables import median, print_table, spread

PROMPT = "9" * 60
"""The demo model continues it up to the end of its context."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--tokens", type=int, default=96, help="of each answer")
    parser.add_argument("--rounds", type=int, default=5, help="each has every number of streams once")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for model in chosen_models(arguments, Path(temporary)):
            rates = asyncio.run(_measure(model, Path(temporary), arguments))
            alone = median(rates[min(rates)])
            print(f"{model.what}, {(model.folder / 'model.safetensors').stat().st_size / 4e6:.0f} M parameters\n")
            print_table(
                ("streams", "tokens/s together", "over one stream"),
                [
                    (str(count), spread(rates[count], 1), f"{median(rates[count]) / alone:.2f}")
                    for count in sorted(rates)
                ],
            )


async def _measure(model: Model, keys: Path, arguments: argparse.Namespace) -> dict[int, list[float]]:
    half = model.layers // 2
    async with (
        node(model.folder, keys, "first", blocks=f"0:{half}") as first,
        node(model.folder, keys, "second", blocks=f"{half}:{model.layers}") as second,
    ):
        await join((first, second))
        await _rate(first, max(arguments.streams), 8)
        rates: dict[int, list[float]] = {count: [] for count in arguments.streams}
        for _ in range(arguments.rounds):
            for count in arguments.streams:
                rates[count].append(await _rate(first, count, arguments.tokens))
        return rates


async def _rate(client: Node, count: int, tokens: int) -> float:
    """Tokens per second, from when all streams run to when the first of them ends."""
    answers = await together([client.answer(PROMPT[: 40 + index], tokens) for index in range(count)])
    return steady_rate(answers)


def steady_rate(answers: list[Answer]) -> float:
    start = max(answer.pieces[0][0] for answer in answers)
    end = min(answer.ended for answer in answers)
    made = sum(start < at <= end for answer in answers for at in answer.token_times())
    return made / (end - start)
