"""One sequence through all blocks of a model, over several nodes, that goes on when a node dies.

Each hop keeps on this side what it was fed. When a hop fails, its blocks are given to other nodes, which are fed the
same again; the hops around it keep their caches. (Petals' own session cannot do this: petals #587.)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import torch

from swarm.domain.nodes import BlockSpan
from swarm.worker.chain.routing import Hop, Offer, choose_route
from swarm.worker.failures import BlocksMissing

logger = logging.getLogger(__name__)

CHUNK_TOKENS = 512
"""A longer prompt is sent in pieces: a server refuses more than some thousand tokens in one step."""
SEARCH_EVERY_S = 0.5
REPAIR_S = 8.0
"""How long a session looks for other nodes when one is lost; within 10 s the caller must know."""


class Runner(Protocol):
    """Runs the blocks of one hop for one sequence."""

    def step(self, hidden: torch.Tensor) -> torch.Tensor: ...

    def close(self) -> None: ...


class Routes(Protocol):
    """Who offers what now."""

    @property
    def layers(self) -> int: ...

    @property
    def missing(self) -> tuple[BlockSpan, ...]: ...

    def offers(self, without: frozenset[str] = frozenset()) -> list[Offer]: ...


class HopFailed(Exception):
    """The server of a hop did not answer, or answered nonsense."""


class _Leg:
    """A hop with its runner and all that it was fed, as [1, tokens, hidden] pieces."""

    def __init__(self, hop: Hop, runner: Runner) -> None:
        self.hop, self.runner = hop, runner
        self.fed: list[torch.Tensor] = []

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        made = torch.cat([self.runner.step(piece) for piece in hidden.split(CHUNK_TOKENS, dim=1)], dim=1)
        self.fed.append(hidden)
        return made


class ChainSession:
    """One sequence; a context manager, used by one thread."""

    def __init__(self, routes: Routes, open_runner: Callable[[Hop], Runner]) -> None:
        self._routes, self._open_runner = routes, open_runner
        self._legs: list[_Leg] = []
        self._failed: set[str] = set()

    def __enter__(self) -> ChainSession:
        self._legs = self._open(BlockSpan(0, self._routes.layers))
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for leg in self._legs:
            leg.runner.close()

    @property
    def servers(self) -> tuple[str, ...]:
        """The other nodes on the route, in order: by their ids, or by their libp2p ids where they say none."""
        return tuple(leg.hop.node or leg.hop.server for leg in self._legs if leg.hop.server)

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        """[1, tokens, hidden] after the embedding to the same before the last norm. Raises `BlocksMissing`.

        A leg that is new gets the whole past; one that is not gets this step's tokens only."""
        hidden, tokens, index = hidden.cpu(), hidden.shape[1], 0
        give_up = time.monotonic() + REPAIR_S
        while index < len(self._legs):
            leg = self._legs[index]
            piece = hidden[:, -tokens:] if leg.fed else hidden
            try:
                hidden = leg.step(piece)
                index += 1
            except HopFailed as error:
                hidden = torch.cat([*leg.fed, piece], dim=1)
                self._replace(index, str(error), give_up)
        return hidden[:, -tokens:]

    def _open(self, span: BlockSpan, why: str = "") -> list[_Leg]:
        route = choose_route(self._routes.offers(frozenset(self._failed)), span)
        if route is None:
            raise BlocksMissing(_lacking(self._routes.missing) or f"Blocks {span} failed where they are served: {why}")
        return [_Leg(hop, self._open_runner(hop)) for hop in route]

    def _replace(self, index: int, why: str, give_up: float) -> None:
        """Puts new legs in place of a failed one. Raises `BlocksMissing` where none is found until `give_up`."""
        lost = self._legs[index]
        lost.runner.close()
        logger.warning(
            "a hop failed; looking for another", extra={"fields": {"blocks": str(lost.hop.span), "why": why}}
        )
        if lost.hop.server:
            self._failed.add(lost.hop.server)
        while True:
            try:
                self._legs[index : index + 1] = self._open(lost.hop.span, why)
                return
            except BlocksMissing:
                if time.monotonic() >= give_up:
                    raise
                time.sleep(SEARCH_EVERY_S)
                self._failed.clear()  # the lost one may have come back


def _lacking(missing: tuple[BlockSpan, ...]) -> str:
    if not missing:
        return ""
    spans = ", ".join(map(str, missing))
    return f"Blocks {spans} are served by no node; start one more node with --blocks {missing[0]}"
