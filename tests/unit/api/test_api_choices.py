"""Several answers as one sequence."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from swarm.api.choices import open_choices
from swarm.domain.errors import BackendError
from swarm.domain.generation import GenerationRequest
from swarm.domain.ids import RequestId
from tests.fakes.api_node import ScriptedAnswers


def requests(count: int) -> list[GenerationRequest]:
    return [GenerationRequest(RequestId(str(index)), "x") for index in range(count)]


async def test_every_piece_of_every_choice_comes_in_its_order() -> None:
    async with open_choices(ScriptedAnswers(texts=["a", "b", "c"]), requests(3)) as choices:
        pieces = [piece async for piece in choices.pieces() if piece is not None]
    for index in range(3):
        assert "".join(piece.delta.text for piece in pieces if piece.index == index) == "abc"
    assert sum(piece.delta.finish_reason is not None for piece in pieces) == 3


async def test_an_error_comes_after_the_pieces_before_it() -> None:
    source = ScriptedAnswers(error=BackendError("gone"), error_at=1)
    async with open_choices(source, requests(1)) as choices:
        pieces = choices.pieces()
        assert await anext(pieces) is not None
        with pytest.raises(BackendError, match="gone"):
            await anext(pieces)


async def test_leaving_early_closes_the_sources() -> None:
    source = ScriptedAnswers(hold_at=1)
    stack = AsyncExitStack()
    choices = await stack.enter_async_context(open_choices(source, requests(2)))
    await anext(choices.pieces())
    assert await stack.__aexit__(LookupError, LookupError(), None) is False
    assert source.closed.is_set()


async def test_silence_is_told() -> None:
    source = ScriptedAnswers(hold_at=0)
    async with open_choices(source, requests(1)) as choices:
        pieces = choices.pieces(silence_s=0.001)
        assert await anext(pieces) is None
        source.go.set()
        assert [piece async for piece in pieces if piece is not None]
