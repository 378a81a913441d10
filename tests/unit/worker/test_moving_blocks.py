"""A node that exchanges its blocks for others never ends up serving nothing."""

import weakref
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from swarm.domain.nodes import BlockSpan
from swarm.worker import loading
from swarm.worker.loading import MovingBlocks

OLD, NEW = BlockSpan(0, 3), BlockSpan(3, 6)


@dataclass(eq=False)
class Held:
    """Layers in memory."""

    layers: dict[int, nn.Module]


@dataclass(frozen=True)
class Model:
    blocks: Held | None
    checkpoint: Any = field(default_factory=lambda: SimpleNamespace(info=SimpleNamespace(layers=6)))


class Chain:
    """Says each turn that these blocks are needed; notes what is told to others."""

    server_id = "me"

    def __init__(self) -> None:
        self.told: list[object] = []

    def places(self) -> tuple[()]:
        return ()

    def intend(self, span: BlockSpan | None) -> None:
        self.told.append(span)

    def pause(self, span: BlockSpan) -> None:
        self.told.append(("paused", span))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> set[BlockSpan]:
    """Spans that cannot be read; `MoveWatch` wants to move in the first turn only."""
    spans, turns = set[BlockSpan](), iter([NEW])

    def load_blocks(_model: Model, span: BlockSpan, held: dict[int, nn.Module]) -> Held:
        if span in spans:
            raise OSError("the disk is gone")
        return Held({index: held.get(index) or nn.Identity() for index in range(span.start, span.end)})

    monkeypatch.setattr(loading, "load_blocks", load_blocks)
    monkeypatch.setattr(loading, "LOOK_EVERY_S", 0.01)
    watch = SimpleNamespace(decide=lambda *_: next(turns, None))
    monkeypatch.setattr(loading, "MoveWatch", lambda _: watch)
    return spans


def test_where_new_blocks_cannot_be_read_after_the_old_ones_were_let_go_those_are_served_again(
    broken: set[BlockSpan],
) -> None:
    broken.add(NEW)
    chain, served = Chain(), list[BlockSpan | None]()
    held = Held({index: nn.Identity() for index in range(3)})
    gone = weakref.ref(held)

    def use(_model: Any, span: BlockSpan | None) -> None:
        served.append(span)
        if span is not None:
            moving.stop()

    moving = MovingBlocks(chain, Model(held), OLD, 3, use)  # type: ignore[arg-type]
    del held
    moving.run()
    assert gone() is None
    assert served == [None, OLD]
    assert chain.told == [NEW, ("paused", NEW), None]


def test_with_room_for_both_the_old_ones_are_served_until_the_new_ones_are_there(broken: set[BlockSpan]) -> None:
    assert not broken
    chain, served = Chain(), list[BlockSpan | None]()

    def use(_model: Any, span: BlockSpan | None) -> None:
        served.append(span)
        moving.stop()

    held = Held({index: nn.Identity() for index in range(3)})
    moving = MovingBlocks(chain, Model(held), OLD, 6, use)  # type: ignore[arg-type]
    moving.run()
    assert served == [NEW]
    assert chain.told == [NEW, None]
