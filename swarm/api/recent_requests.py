"""What this node answered lately, for the status page: who, how and how fast, never what."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

from swarm.api.errors import failure_of
from swarm.api.sse import ReaderGone
from swarm.domain.generation import Provenance, TextDelta
from swarm.domain.ids import NodeId, RouteName, StrategyName
from swarm.ports.clock import Clock

logger = logging.getLogger(__name__)

KEPT = 100
ABANDONED_STATUS = 499
"""nginx's number for a caller that left before the answer was whole."""

Kind = Literal["chat", "completion", "response", "vote"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    id: str
    kind: Kind
    started: float
    """Unix time in s."""
    seconds: float
    status: int
    """As in HTTP, also where a stream had begun with 200 already."""
    outcome: Literal["answered", "failed", "abandoned"]
    model: str
    strategy: StrategyName | None
    """Of the vote, where there was one; else as asked."""
    route: RouteName | None
    nodes: tuple[NodeId, ...]
    agreement: float | None
    ballots: int
    tokens: int


@dataclass(slots=True)
class RequestWatch:
    """A request while it runs."""

    tokens: int = 0
    provenance: Provenance | None = None
    failure: BaseException | None = None
    is_told: bool = False
    """All but the end mark was sent: whoever leaves now has the whole answer, and some leave at once."""

    def saw(self, delta: TextDelta) -> None:
        self.tokens += delta.tokens
        if self.provenance is None:
            self.provenance = delta.provenance

    @property
    def left(self) -> bool:
        return isinstance(self.failure, asyncio.CancelledError | ReaderGone)

    @property
    def status(self) -> int:
        if self.failure is None:
            return 200
        return ABANDONED_STATUS if self.left else failure_of(self.failure).status


class RecentRequests:
    """The newest are kept; the oldest fall out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: deque[RequestRecord] = deque(maxlen=KEPT)

    def newest_first(self) -> tuple[RequestRecord, ...]:
        return tuple(reversed(self._records))

    @contextmanager
    def watch(self, kind: Kind, id: str, model: str | None, strategy: StrategyName | None) -> Iterator[RequestWatch]:
        """Records the request when the block is left, whichever way."""
        watch, started, began = RequestWatch(), self._clock.wall(), self._clock.now()
        try:
            yield watch
        except (asyncio.CancelledError, ReaderGone) as error:
            if not watch.is_told:
                watch.failure = error
            raise
        except BaseException as error:
            watch.failure = error
            raise
        finally:
            record = _record(watch, kind, id, model, strategy, started, self._clock.now() - began)
            self._records.append(record)
            logger.info("a request has ended", extra={"fields": asdict(record)})


def _record(
    watch: RequestWatch,
    kind: Kind,
    id: str,
    model: str | None,
    strategy: StrategyName | None,
    started: float,
    seconds: float,
) -> RequestRecord:
    provenance = watch.provenance
    decision = provenance.decision if provenance else None
    return RequestRecord(
        id=id,
        kind=kind,
        started=started,
        seconds=seconds,
        status=watch.status,
        outcome="answered" if watch.failure is None else "abandoned" if watch.left else "failed",
        model=provenance.model if provenance else model or "",
        strategy=decision.strategy if decision else strategy,
        route=provenance.route if provenance else None,
        nodes=provenance.nodes if provenance else (),
        agreement=decision.agreement if decision else None,
        ballots=len(decision.ballots) if decision else 0,
        tokens=watch.tokens,
    )
