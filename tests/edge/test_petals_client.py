"""Petals' own client loop uses the blocks that a worker serves, and makes the same text."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from swarm.engine.model_choice import demo_folder
from tests.edge.test_engine_worker import ENDLESS, answer, request, running, text, wait_until

SCRIPTS = Path(__file__).parents[2] / "scripts"
TOKENS = 12
LIMIT_S = 90.0


async def petals_text(prefix: str, peer: str) -> str:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chain_bench.petals_baseline.client", "--threads", "1"),
        *("--model", str(demo_folder()), "--prefix", prefix, "--peer", peer),
        cwd=SCRIPTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        program.stdin.write(json.dumps({"prompt": ENDLESS, "tokens": TOKENS}).encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            assert json.loads(await program.stdout.readline())["ready"]
            return str(json.loads(await program.stdout.readline())["text"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)  # with the process that Petals forks for its DHT
        await program.communicate()


async def test_petals_own_client_loop_makes_the_same_text_with_our_blocks(tmp_path: Path) -> None:
    async with running(tmp_path, "one", engine="chain", blocks="all") as engine:
        await wait_until(lambda: engine.state.complete and engine.state.state == "ready")
        expected = text(await answer(engine, request(ENDLESS, max_tokens=TOKENS)))
        assert engine.state.model is not None
        made = await petals_text(f"swarm-{engine.state.model.digest}", engine.state.chain_addresses[0])
        assert len(expected) == TOKENS
        assert made == expected
