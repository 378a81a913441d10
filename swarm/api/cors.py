"""Pages of other sites that the operator lets call this node from a browser (CORS)."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

MAX_AGE_S = 600
EXPOSED = "X-Request-Id, Retry-After"


class Origins:
    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def allowed(self, headers: Mapping[str, str]) -> str | None:
        """The origin of the page that calls, where it may."""
        origin = headers.get("Origin")
        return origin if origin is not None and ("*" in self._allowed or origin in self._allowed) else None


def preflight_reply(request: web.Request) -> web.Response | None:
    """To a browser that asks what a page may send; None for any other request.

    The headers that it names are allowed, whichever they are: clients add new ones every year."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    headers = {
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
    if "Access-Control-Request-Private-Network" in request.headers:
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)


def cors_headers(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin, Access-Control-Request-Headers",
    }
