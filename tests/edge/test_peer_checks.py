"""Real workers on loopback check each other: a liar is found, told and left out; an honest one is not accused."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarm.domain.events import PeerCheck
from swarm.domain.generation import GenerationRequest, Sampling
from swarm.domain.ids import RequestId
from swarm.domain.nodes import BlockSpan
from swarm.engine.engine import Engine
from tests.edge.test_engine_worker import READY_S, running, wait_until

LIAR = '#!/bin/sh\nshift 2\nexec "{python}" -m tests.lab.lying_worker "$@"\n'


@contextlib.asynccontextmanager
async def serving(folder: Path, name: str, blocks: str, **settings: object) -> AsyncIterator[Engine]:
    async with running(folder, name, engine="chain", blocks=blocks, **settings) as engine:
        await wait_until(lambda: engine.state.complete)
        yield engine


async def answer(engine: Engine) -> tuple[str, tuple[str, ...]]:
    """The text, and the other nodes that it came from."""
    request = GenerationRequest(RequestId("r"), "12 + 30 - 7 = ", Sampling(temperature=0.0, max_tokens=12))
    async with contextlib.aclosing(engine.stream(request)) as stream:
        deltas = [delta async for delta in stream]
    assert deltas[-1].provenance is not None
    return "".join(delta.text for delta in deltas), deltas[-1].provenance.nodes


async def checked(engine: Engine, server: str) -> PeerCheck:
    """What the next check of this server finds; a check that found nobody to compare with yet is asked for again."""
    found: list[PeerCheck] = []
    engine.hear_checks(found.append)
    async with asyncio.timeout(READY_S):
        while not any(check.server == server for check in found):
            engine.check_peer((server,), ())
            await asyncio.sleep(0.3)
    return next(check for check in found if check.server == server)


def server_of(engine: Engine) -> str:
    return engine.state.chain_addresses[0].rsplit("/", 1)[1]


async def test_a_liar_is_found_left_out_and_comes_back_when_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = tmp_path / "lie"
    lie.touch()
    monkeypatch.setenv("SWARM_TEST_LIE", str(lie))
    wrapper = tmp_path / "python"
    wrapper.write_text(LIAR.format(python=sys.executable))
    wrapper.chmod(0o755)
    async with contextlib.AsyncExitStack() as held:
        with monkeypatch.context() as as_liar:
            as_liar.setattr(sys, "executable", str(wrapper))
            liar = await held.enter_async_context(serving(tmp_path, "liar", "3:6"))
        first, checker = await asyncio.gather(
            held.enter_async_context(serving(tmp_path, "first", "0:3", threads=2)),
            held.enter_async_context(serving(tmp_path, "checker", "2:6")),
        )
        for engine in (first, checker):
            engine.introduce([*liar.state.chain_addresses, *first.state.chain_addresses])
        await wait_until(lambda: all(engine.state.state == "ready" for engine in (liar, first, checker)))

        finding = await checked(checker, server_of(liar))
        while finding.agrees:  # a span without the liar's last block
            finding = await checked(checker, server_of(liar))
        assert (finding.node, finding.span.end) == ("liar", 6)
        assert finding.difference > 0.1
        finding = await checked(checker, server_of(first))
        assert (finding.node, finding.span, finding.agrees) == ("first", BlockSpan(2, 3), True)
        assert finding.difference < 1e-4

        right, _ = await answer(checker)
        first.avoid((server_of(liar),))
        await asyncio.sleep(0.3)
        for _ in range(3):
            text, nodes = await answer(first)
            assert text == right
            assert "liar" not in nodes
        # It is all that is left: better no answer than a wrong one.
        first.forget(checker.state.chain_addresses)
        await wait_until(lambda: first.state.missing == (BlockSpan(3, 6),))

        lie.unlink()
        assert (await checked(checker, server_of(liar))).agrees
        first.avoid(())
        await wait_until(lambda: first.state.state == "ready")
        text, nodes = await answer(first)
        assert (text, nodes) == (right, ("first", "liar"))
