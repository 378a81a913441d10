from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.daemons import Daemons
from tests.lab.lan import Lan, why_not


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    with Daemons(tmp_path) as started:
        yield started


@pytest.fixture
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    marker = request.node.get_closest_marker("lan")
    with Lan(**(marker.kwargs if marker else {})) as built:
        yield built
