"""One sequence through all blocks of a model, over several nodes, that goes on when a node dies.

Each hop keeps on this side what it was fed. When a hop fails or is late, its blocks are given to other nodes, which are
fed the same again, and whoever is through first goes on; the hops around it keep their caches. (Petals' own session
cannot do this: petals #587.)
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

import torch

from swarm.domain.nodes import BlockSpan
from swarm.domain.tokens import HopProbe
from swarm.worker.chain.attempts import Leg, Runner
from swarm.worker.chain.crossing import Crossing, Routes, Surroundings
from swarm.worker.chain.passage import Leave, Passage
from swarm.worker.chain.routing import Hop


class ChainSession:
    """One sequence; a context manager, used by one thread.

    For `repair_s` it looks for other nodes where one is lost."""

    def __init__(
        self,
        routes: Routes,
        open_runner: Callable[[Hop], Runner],
        repair_s: float,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._around = Surroundings(routes, open_runner, repair_s, is_cancelled)
        self._legs: list[Leg] = []
        self._lost: dict[str, None] = {}

    def __enter__(self) -> ChainSession:
        whole = BlockSpan(0, self._around.routes.layers)
        legs = self._around.open(whole)
        if legs is None:
            raise self._around.missing(whole)
        self._legs = legs
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for leg in self._legs:
            leg.close()

    @property
    def servers(self) -> tuple[str, ...]:
        """The other nodes on the route, in order, then those that were lost on the way."""
        now = dict.fromkeys(leg.name for leg in self._legs if leg.hop.server)
        return tuple(now | self._lost)

    @property
    def hops(self) -> tuple[HopProbe, ...]:
        """The route as it is now, and what each hop took in the last step."""
        return tuple(
            HopProbe(
                leg.name if leg.hop.server else "",
                leg.hop.span.start,
                leg.hop.span.end,
                leg.last_step_s,
                leg.last_compute_s,
            )
            for leg in self._legs
        )

    @property
    def history_bytes(self) -> int:
        """Held here so that lost hops can be made again: for each, tokens x hidden size x bytes of a number."""
        return sum(leg.history_bytes for leg in self._legs)

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        """[1, tokens, hidden] after the embedding to the same before the last norm. Raises as `run` does."""
        return self.run(_done(hidden.cpu()), _done)

    def run(self, entering: Future[torch.Tensor], leave: Leave) -> torch.Tensor:
        """From [1, tokens, hidden] after the embedding, once they are there, to what `leave` makes of the same before
        the last norm; both may be worked on by any thread.

        Raises `BlocksMissing` where a lost hop could not be made again in time, `Cancelled`, and what they raise."""
        index = 0
        while True:
            passage = Passage(self._legs[index:], leave)
            passage.begin(entering)
            left = passage.result(self._around.is_cancelled)
            if left is not None:
                return left
            leg, tokens = passage.leg, passage.hidden.shape[1]
            legs, made = Crossing(self._around, passage).result()
            at = self._legs.index(leg)
            if legs != [leg]:
                self._legs[at : at + 1] = legs
                self._lost[leg.name] = None
            entering, index = _done(made[:, -tokens:]), at + len(legs)


def _done(hidden: torch.Tensor) -> Future[torch.Tensor]:
    future: Future[torch.Tensor] = Future()
    future.set_result(hidden)
    return future
