"""One stream over two nodes beside Petals' own client loop and its forked handlers, on the same blocks.

Two nodes of three blocks each of the demo model, greedy decoding; all arms run in one go, one answer each in turn, so
that whatever else the machine does hits all alike: compare ratios. `petals`: Petals' client and two servers as they
come, with forked handlers. `petals, 1 thread`: the same with one thread of torch in each process, as a tiny model wants
it and as ours have. `petals' client, our servers`: shows that they understand each other. `ours, two hops`: a third
node drives both servers. `ours, one hop`: one of the two nodes answers, as usual. Timed from the request to the last
token, divided by the tokens; ours where the daemon reads what the worker says: sampling and text included, which
Petals' loop has not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain_bench.nodes import READY_S, Node, join, node
from chain_bench.tables import median, print_table, spread
from swarm.engine.model_choice import demo_folder

SCRIPTS = Path(__file__).parents[1]
PROMPT = "9" * 60
"""The demo model goes on with it until the end of its context."""
SPANS = ("0:3", "3:6")


@dataclass(frozen=True, slots=True)
class Timed:
    text: str
    token_ms: float
    """Mean of an answer, from its request to its end: the session is opened and the prompt read in that time."""


Arm = Callable[[int], Awaitable[Timed]]
"""Makes an answer of this many tokens."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="answers of each arm")
    parser.add_argument("--tokens", type=int, default=48, help="per answer")


def run(arguments: argparse.Namespace) -> None:
    asyncio.run(_run(arguments.rounds, arguments.tokens))


async def _run(rounds: int, tokens: int) -> None:
    with tempfile.TemporaryDirectory(prefix="chain-bench-") as folder:
        async with contextlib.AsyncExitStack() as held:
            arms = await _arms(held, Path(folder))
            for arm in arms.values():
                await arm(8)
            times: dict[str, list[float]] = {name: [] for name in arms}
            texts: set[str] = set()
            for _ in range(rounds):
                for name, arm in arms.items():
                    made = await arm(tokens)
                    times[name].append(made.token_ms)
                    texts.add(made.text)
            _print(times, len(texts) == 1)


def _print(times: dict[str, list[float]], same: bool) -> None:
    base = median(times["petals"])
    rows = [
        [name, spread(values, 1), f"{min(values):.1f}", f"{base / median(values):.2f}"]
        for name, values in times.items()
    ]
    print_table(["arm", "ms a token, median of answers (quartiles)", "best", "times as fast as `petals`"], rows)
    print(f"All answers have {'the same text' if same else 'NOT the same text'}.")


async def _arms(held: contextlib.AsyncExitStack, folder: Path) -> dict[str, Arm]:
    opened = [
        await held.enter_async_context(node(demo_folder(), folder, name, blocks=blocks))
        for name, blocks in (("first", SPANS[0]), ("second", SPANS[1]), ("driver", "none"))
    ]
    await join(opened)
    servers = [served.loaded for served in opened[:2] if served.loaded]
    addresses = [address for loaded in servers for address in loaded.chain_addresses]
    return {
        "petals": await _petals(held, 0),
        "petals, 1 thread": await _petals(held, 1),
        "petals' client, our servers": await _client(held, f"swarm-{servers[0].model.digest}", addresses, 1),
        "ours, two hops": _ours(opened[2]),
        "ours, one hop": _ours(opened[0]),
    }


def _ours(driver: Node) -> Arm:
    async def answer(tokens: int) -> Timed:
        made = await driver.answer(PROMPT, tokens)
        return Timed(made.text, 1000 * (made.ended - made.asked) / tokens)

    return answer


# -- Petals -----------------------------------------------------------------------------------------------------------


async def _petals(held: contextlib.AsyncExitStack, threads: int) -> Arm:
    """Two servers as they come, and a client."""
    prefix, addresses = f"petals-{threads}", list[str]()
    for span in SPANS:
        server = await held.enter_async_context(
            _program("server", threads, "--prefix", prefix, "--blocks", span, *_peers(addresses))
        )
        addresses += (await _said(server))["addresses"]
    return await _client(held, prefix, addresses, threads)


async def _client(held: contextlib.AsyncExitStack, prefix: str, addresses: list[str], threads: int) -> Arm:
    client = await held.enter_async_context(_program("client", threads, "--prefix", prefix, *_peers(addresses)))
    await _said(client)

    async def answer(tokens: int) -> Timed:
        assert client.stdin is not None
        client.stdin.write(json.dumps({"prompt": PROMPT, "tokens": tokens}).encode() + b"\n")
        made = await _said(client)
        return Timed(made["text"], 1000 * made["seconds"] / tokens)

    return answer


def _peers(addresses: list[str]) -> list[str]:
    return [part for address in addresses for part in ("--peer", address)]


@contextlib.asynccontextmanager
async def _program(name: str, threads: int, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Ends with its standard input; what it forked ends with its process group, as Petals leaves some behind."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"chain_bench.petals_baseline.{name}"),
        *("--model", str(demo_folder()), "--threads", str(threads), *arguments),
        cwd=SCRIPTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield program
    finally:
        assert program.stdin is not None
        program.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(program.wait(), 10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        await program.wait()


async def _said(program: asyncio.subprocess.Process) -> dict[str, Any]:
    assert program.stdout is not None
    line = await asyncio.wait_for(program.stdout.readline(), READY_S)
    if not line:
        raise RuntimeError("a program of Petals ended; what it said is above")
    said: dict[str, Any] = json.loads(line)
    return said
