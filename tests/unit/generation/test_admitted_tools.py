from __future__ import annotations

import pytest

from swarm.domain.errors import Unavailable
from swarm.generation.admission import Admission
from swarm.generation.admitted_tools import AdmittedTools
from tests.fakes.api_node import FakeTools
from tests.fakes.clock import ManualClock


async def test_vectors_take_a_slot_and_the_rest_waits_for_nobody() -> None:
    admission = Admission(1, 0, ManualClock())
    tools = AdmittedTools(FakeTools(), admission)
    assert len((await tools.embed(["a", "b"])).vectors) == 2
    async with admission.slot():
        with pytest.raises(Unavailable):
            await tools.embed(["a"])
        assert (await tools.tokenize("ab")).ids == (97, 98)
        assert await tools.detokenize((97, 98)) == "ab"
        assert (await tools.probe()).hops
    assert admission.load.running == 0
