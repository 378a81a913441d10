"""What a hop costs on this machine: milliseconds a token beside the same model in one process.

Three arms, one answer each in turn, so that whatever else the machine does hits all alike: `one process`, a worker with
all blocks and no chain; `one hop`, a node that has the first half of the blocks and asks another for the rest; `two
hops`, a node without blocks that asks both. Each with one thread of torch. Timed between tokens where the daemon reads
what the worker says, sampling and text included; of an answer, the median. What a hop costs is told twice: the time
from a step's leaving to its return without what the blocks took there, of tokens that are computed one after the other;
and the difference to `one process`, divided by the hops, in which blocks that wait for their token between two steps
also take longer than those that are run at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from chain_bench.checkpoints import Model, add_model_arguments, chosen_models
from chain_bench.nodes import Answer, Node, join, node
from chain_bench.tables import median, print_table, spread
from swarm.domain.tokens import HopProbe

PROMPT = "9" * 60
"""The demo model continues it up to the end of its context."""
PROBES = 10
"""After each answer."""
ARMS = {"one process": 0, "one hop": 1, "two hops": 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="answers of each arm")
    parser.add_argument("--tokens", type=int, default=96, help="of each answer")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="chain-bench-") as folder:
        for model in chosen_models(arguments, Path(folder)):
            asyncio.run(_measure(model, Path(folder), arguments))


async def _measure(model: Model, keys: Path, arguments: argparse.Namespace) -> None:
    half = model.layers // 2
    async with contextlib.AsyncExitStack() as held:
        started = time.perf_counter()
        whole = await held.enter_async_context(node(model.folder, keys, "whole", engine="local", on_chain=False))
        alone_s = time.perf_counter() - started
        chain = [
            await held.enter_async_context(node(model.folder, keys, name, blocks=blocks))
            for name, blocks in (("first", f"0:{half}"), ("second", f"{half}:{model.layers}"), ("driver", "none"))
        ]
        await join(chain)
        arms = dict(zip(ARMS, (whole, chain[0], chain[2]), strict=True))
        texts = {(await arm.answer(PROMPT, arguments.tokens)).text for arm in arms.values()}
        gaps: dict[str, list[float]] = {name: [] for name in arms}
        beyond: dict[str, list[float]] = {name: [] for name, hops in ARMS.items() if hops}
        for _ in range(arguments.rounds):
            for name, arm in arms.items():
                gaps[name].append(token_ms(await arm.answer(PROMPT, arguments.tokens)))
                if name in beyond:
                    beyond[name] += [ms for _ in range(PROBES) for ms in beyond_blocks_ms(await arm.probe())]
        print(f"{model.what}; {'all arms say the same' if len(texts) == 1 else 'THE TEXTS DIFFER'}\n")
        _print(gaps, beyond)
        print(f"A worker with all blocks loads in {alone_s:.1f} s.\n")
        _print_memory({"all blocks, no chain": whole, "half of the blocks": chain[1], "none": chain[2]})


def token_ms(answer: Answer) -> float:
    """The median time from one token to the next."""
    return 1000 * median([later - earlier for earlier, later in pairwise(answer.token_times())])


def beyond_blocks_ms(hops: Sequence[HopProbe]) -> list[float]:
    """What each hop to another node took beside the compute of its blocks."""
    return [1000 * (hop.seconds - hop.compute_s) for hop in hops if hop.node and hop.compute_s is not None]


def _print(gaps: dict[str, list[float]], beyond: dict[str, list[float]]) -> None:
    base = median(gaps["one process"])
    rows = []
    for name, values in gaps.items():
        hops = ARMS[name]
        cost = f"{(median(values) - base) / hops:.2f}" if hops else ""
        own = spread(beyond[name]) if name in beyond else ""
        rows.append([name, spread(values), f"{median(values) / base:.2f}", own, cost])
    head = ["arm", "ms a token, median of answers (quartiles)", "over one process"]
    print_table([*head, "ms a hop takes beyond its blocks", "ms more than one process, a hop"], rows)


def _print_memory(nodes: dict[str, Node]) -> None:
    rows = []
    for name, loaded in nodes.items():
        held = loaded.memory_bytes
        rows.append([name, f"{held['worker'] / 2**20:.0f}", f"{held.get('p2pd', 0) / 2**20:.0f}"])
    print_table(["node with", "worker, MiB resident", "libp2p's daemon, MiB"], rows)
