"""Asks nodes over HTTP, and tells refusal, silence and nonsense apart (aiohttp)."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from swarm.doctor.names import PatientlessResolver
from swarm.doctor.replies import Answered, Refused, Reply, Silent, Strange, Unresolved
from swarm.domain.nodes import Endpoint, NodeStatus
from swarm.membership.strangers import clean_peer, clean_status, node_of
from swarm.ports.clock import Clock
from swarm.wire.codec import MalformedMessage, from_json
from swarm.wire.federation_messages import PeersReply

HEALTH_PATH = "/v1/federation/health"
PEERS_PATH = "/v1/federation/peers"
TIMEOUT_S = 2.5
"""Outlasts one lost SYN, which is repeated after 1 s."""
TABLE_TIMEOUT_S = 1.5
"""Only those that just answered are asked for their table."""
MOST_CONNECTIONS = 224
"""At the same time, below macOS' 256 open files. Who waits for one seems silent."""
LARGEST_REPLY_BYTES = 4 * 2**20
"""A table of a thousand peers has about 1 MiB."""


class Asker:
    """An async context manager; leaving it closes every connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, resolver=PatientlessResolver()),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def health(self, endpoint: Endpoint) -> Reply:
        """Who is there. Never raises but for a cancel."""
        asked_wall, asked_at = self._clock.wall(), self._clock.now()
        page = await self._get(endpoint, HEALTH_PATH, TIMEOUT_S)
        if not isinstance(page, _Page):
            return page
        try:
            status = from_json(NodeStatus, page.body)
        except MalformedMessage as error:
            return Strange(f"HTTP {page.status}, not the status of a node: {error}")
        if node_of(status) is None:
            return Strange("it says no usable id of itself")
        clock_s = clock_difference(page.date, asked_wall, self._clock.wall())
        return Answered(clean_status(status), self._clock.now() - asked_at, clock_s)

    async def peers(self, endpoint: Endpoint) -> PeersReply | None:
        """What a node says of the others, fit to be printed; None where it says nothing that is understood."""
        page = await self._get(endpoint, PEERS_PATH, TABLE_TIMEOUT_S)
        if not isinstance(page, _Page):
            return None
        try:
            said = from_json(PeersReply, page.body)
        except MalformedMessage:
            return None
        return replace(said, self=clean_status(said.self), peers=tuple(map(clean_peer, said.peers)))

    async def _get(self, endpoint: Endpoint, path: str, timeout_s: float) -> _Page | Reply:
        if self._opened is None:
            raise RuntimeError("Asker is used outside its `async with`")
        try:
            url = URL.build(scheme="http", host=endpoint.host, port=endpoint.port, path=path)
            async with asyncio.timeout(timeout_s), self._opened.get(url, allow_redirects=False) as response:
                return await _read(response)
        except TimeoutError:
            return Silent(f"no answer from {endpoint} within {timeout_s:g} s")
        except aiohttp.ClientConnectorDNSError:
            return Unresolved()
        except aiohttp.ClientConnectorError as error:
            return _not_connected(endpoint, error.os_error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Strange(f"{endpoint} broke off or does not speak HTTP: {type(error).__name__}")


class _Page:
    def __init__(self, status: int, body: bytes, date: str) -> None:
        self.status, self.body, self.date = status, body, date


async def _read(response: aiohttp.ClientResponse) -> _Page | Reply:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_REPLY_BYTES:
            return Strange(f"a reply of more than {LARGEST_REPLY_BYTES} bytes")
    return _Page(response.status, bytes(body), response.headers.get("Date", ""))


def _not_connected(endpoint: Endpoint, error: OSError) -> Reply:
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return Refused()
    return Silent(f"{endpoint}: {error.strerror or 'no connection'}")


def clock_difference(date: str, asked_wall: float, answered_wall: float) -> tuple[float, float] | None:
    """Bounds of their clock less ours. `Date` is cut to whole seconds (RFC 9110, section 6.6.1)."""
    try:
        said = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return said - answered_wall, said + 1.0 - asked_wall
