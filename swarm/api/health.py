"""GET /health: 200 if and only if this node can answer now, which it has just tried; no key, nothing to know."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from swarm.api.errors import error_body, not_ready, retry_headers
from swarm.api.json_replies import json_reply
from swarm.api.probing import Prober
from swarm.api.services import ApiServices
from swarm.domain.coverage import strength, what_is_unserved
from swarm.domain.errors import Unavailable
from swarm.domain.nodes import Coverage, NodeStatus


class HealthRoutes:
    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._prober = None if services.tools is None else Prober(services.tools, services.clock)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/health", self._health), web.get("/v1/health", self._health)]

    async def _health(self, _request: web.Request) -> web.Response:
        status = self._services.status()
        facts = {
            "model": status.model.id if status.model else None,
            "coverage": coverage_facts(status.coverage),
            "peers": sum(peer.standing == "alive" for peer in self._services.peers()),
        }
        try:
            if not status.can_answer:
                raise Unavailable(why_not_ready(status))
            probe = {"probe": await self._prober.facts()} if self._prober else {}
            return json_reply({"status": "ok", "state": status.state, **facts, **probe})
        except Unavailable as unavailable:
            error = unavailable
        body = {"status": "unavailable", **error_body(error), **not_ready(status), **facts}
        return json_reply(body, 503, retry_headers(error))


def why_not_ready(status: NodeStatus) -> str:
    match status.state:
        case "failed":
            return f"This node cannot answer: {status.problem or 'its model did not load; see its log'}."
        case "waiting":
            unserved = what_is_unserved(status.missing, status.coverage.block_bytes if status.coverage else 0)
            return f"This node cannot answer: {unserved}."
        case _:
            return "The model is still loading."


def coverage_facts(coverage: Coverage | None) -> dict[str, Any] | None:
    """For those who watch: how often the weakest block is served, and how many nodes may die."""
    if coverage is None:
        return None
    least = min((stretch.nodes for stretch in coverage.stretches), default=0)
    return {
        "least_served": least,
        "survives": coverage.survives,
        "missing": [str(span) for span in coverage.missing],
        "in_words": strength(coverage),
    }
