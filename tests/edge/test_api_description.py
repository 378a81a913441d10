"""/openapi.json describes every route; schemathesis finds no status and no reply that it does not describe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event, Thread
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from swarm.api.events import EventFeed
from swarm.api.middleware import InFlight
from swarm.api.openapi import description
from swarm.api.page_routes import load_page
from swarm.api.server import ApiServer, build_application
from swarm.api.settings import ApiSettings
from swarm.host.clock import SystemClock
from swarm.ports.weights import WeightsShelf
from tests.fakes.api_node import FakeNode

LITTLE = settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""For each route and mode; scripts/fuzz_api.py looks much longer."""
ENDLESS = "/v1/federation/events"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("shares_weights", [False, True])
def test_every_route_is_described_and_every_description_is_a_route(shares_weights: bool) -> None:
    services = FakeNode().services()
    if shares_weights:
        services = replace(services, weights=cast(WeightsShelf, object()))
    application = build_application(services, ApiSettings(), (), load_page(), InFlight(), EventFeed(SystemClock()))
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    paths = description(shares_weights=shares_weights)["paths"]
    assert served == {(method, path) for path, methods in paths.items() for method in methods}


@contextmanager
def served(node: FakeNode) -> Iterator[str]:
    """In a thread of its own: the fuzzer blocks."""
    urls: list[str] = []
    ready, stop = Event(), Event()

    async def serve() -> None:
        async with ApiServer(node.services(), ApiSettings(port=0), "127.0.0.1") as server:
            urls.append(f"http://{server.endpoint}")
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield urls[0]
    finally:
        stop.set()
        thread.join()


@pytest.mark.timeout(300)
def test_no_request_meets_a_failure_or_a_status_that_is_not_described() -> None:
    with served(FakeNode()) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.startswith("/v1/") and operation.path != ENDLESS:
                fuzz(operation)


def fuzz(operation: Any) -> None:
    """With bodies as described, and with bodies that are not."""
    for mode in schemathesis.GenerationMode:

        @LITTLE
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case: Any) -> None:
            case.call_and_validate(timeout=10, checks=CHECKS)

        with suppress(Unsatisfiable):  # nothing of it can be wrong
            each()
