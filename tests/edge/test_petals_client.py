"""Petals' own client loop uses the blocks that a worker serves, and makes the same text."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from swarm.domain.generation import GenerationRequest, Sampling
from swarm.domain.ids import NodeId, RequestId
from swarm.engine.engine import Engine, EnginePlace
from swarm.engine.model_choice import ModelChoice, demo_folder
from swarm.engine.settings import EngineSettings
from swarm.host.clock import SystemClock

SCRIPTS = Path(__file__).parents[2] / "scripts"
PROMPT = "12 + 30 - 7 = "
LIMIT_S = 90.0


async def petals_text(prefix: str, peer: str) -> str:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chain_bench.petals_baseline.client", "--threads", "1"),
        *("--model", str(demo_folder()), "--prefix", prefix, "--peer", peer),
        cwd=SCRIPTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        program.stdin.write(json.dumps({"prompt": PROMPT, "tokens": 12}).encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            assert json.loads(await program.stdout.readline())["ready"]
            return str(json.loads(await program.stdout.readline())["text"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)  # with the process that Petals forks for its DHT
        await program.communicate()


async def test_petals_own_client_loop_makes_the_same_text_with_our_blocks(tmp_path: Path) -> None:
    engine = Engine(
        EngineSettings(chain_port=0, engine="chain", blocks="all"),
        ModelChoice(str(demo_folder()), "swarm-demo", "for the test"),
        EnginePlace(NodeId("one"), "127.0.0.1", str(tmp_path / "key")),
        SystemClock(),
        lambda _: None,
    )
    running = asyncio.create_task(engine.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            while not (engine.state.complete and engine.state.state == "ready"):
                await asyncio.sleep(0.05)
        request = GenerationRequest(RequestId("r"), PROMPT, Sampling(temperature=0.0, max_tokens=12))
        async with contextlib.aclosing(engine.stream(request)) as stream:
            expected = "".join([delta.text async for delta in stream])
        assert engine.state.model is not None
        made = await petals_text(f"swarm-{engine.state.model.digest}", engine.state.chain_addresses[0])
        assert made.startswith(expected.strip()) or made.strip() == expected.strip()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
