"""An answer for a caller who reads along: comments while there is no text, and errors as the last event."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from swarm.api.choices import Choices, Piece
from swarm.api.recent_requests import RequestWatch
from swarm.api.sse import EventStream, ReaderGone
from swarm.ports.clock import Clock

REFUSAL_S = 1.0
"""So long nothing but an answer begins a stream: a refusal that comes soon gets its real status."""


async def spoken_pieces(
    choices: Choices, events: EventStream, watch: RequestWatch, clock: Clock, keep_alive_s: float
) -> AsyncGenerator[Piece, None]:
    """Those that say something, which `watch` has seen. Whatever else comes, and silence, is written as a comment."""
    going_on, began = "waiting", clock.now()
    async for piece in choices.pieces(keep_alive_s):
        if piece is None:
            await events.comment(going_on)
        elif piece.delta.progress is not None:
            going_on = piece.delta.progress
            if events.started or clock.now() - began > REFUSAL_S:
                await events.comment(going_on)
        else:
            watch.saw(piece.delta)
            yield piece


@asynccontextmanager
async def failures_told(
    events: EventStream, watch: RequestWatch, tell: Callable[[Exception], Awaitable[None]]
) -> AsyncIterator[None]:
    """What fails inside after the stream has begun is told as an event; before, it is raised. Leaving it, all but the
    end mark was sent."""
    try:
        yield
    except ReaderGone:
        raise
    except Exception as error:
        if not events.started:
            raise
        watch.failure = error
        await tell(error)
    watch.is_told = True
