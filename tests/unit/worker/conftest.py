"""What stands around every test of the worker."""

from collections.abc import Iterator

import pytest
import torch

from tests.lab.warm_interpreter import WarmInterpreter


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models are many times slower with two threads on two busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def interpreter() -> Iterator[WarmInterpreter]:
    """For code that imports Petals, which changes the process."""
    with WarmInterpreter() as warm:
        yield warm
