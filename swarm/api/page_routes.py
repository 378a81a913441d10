"""The status page at /: a few files of this package, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from aiohttp import web

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "index.html": "text/html; charset=utf-8",
        "page.css": "text/css; charset=utf-8",
        "decisions.js": "text/javascript; charset=utf-8",
        "page.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }
)
PAGE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        # Nothing but this node's own files runs here, whatever a peer calls itself; and no other page frames it.
        "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
)


@dataclass(frozen=True, slots=True)
class Page:
    contents: Mapping[str, bytes]


def load_page() -> Page:
    """Blocks: reads files."""
    folder = files("swarm.api") / "page"
    return Page({name: (folder / name).read_bytes() for name in TYPES})


class PageRoutes:
    def __init__(self, page: Page) -> None:
        self._page = page

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._index), web.get(f"/page/{{name:{'|'.join(TYPES)}}}", self._file)]

    async def _index(self, _request: web.Request) -> web.Response:
        return self._reply("index.html")

    async def _file(self, request: web.Request) -> web.Response:
        return self._reply(request.match_info["name"])

    def _reply(self, name: str) -> web.Response:
        return web.Response(body=self._page.contents[name], headers={**PAGE_HEADERS, "Content-Type": TYPES[name]})
