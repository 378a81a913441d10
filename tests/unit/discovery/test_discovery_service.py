"""When this node is announced, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.discovery.service import SwarmDiscovery
from swarm.discovery.settings import DiscoverySettings
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint

HERE = Endpoint("127.0.0.1", 17615)


async def test_what_changes_after_the_goodbye_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    async def refuse(places: Any) -> Any:
        opened.append(places)
        raise OSError("no network")

    monkeypatch.setattr("swarm.discovery.multicast.Multicast.open", refuse)
    advert = Advert(NodeId("ann"), BootId("b"), (HERE,))
    async with SwarmDiscovery(advert, HERE.host, DiscoverySettings(), print, print) as discovery:
        await discovery.update(advert)
    assert len(opened) == 2
    await discovery.update(advert)
    assert len(opened) == 2
