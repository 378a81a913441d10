"""Weights of another node over HTTP."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import aiohttp

from swarm.domain.errors import PeerError, Unavailable
from swarm.domain.nodes import PeerInfo
from swarm.domain.weights import FilePieces, HeldPieces, WeightsOffer
from swarm.peering.http import Reply, as_peer_errors, failure_of, read_reply, url_of
from swarm.wire.codec import MSGPACK_TYPE, decode

T = TypeVar("T")
OFFER_PATH = "/v1/weights/offer"
ASK_TIMEOUT_S = 5.0
SILENCE_S = 5.0
"""Between two bytes of a piece; a source that is silent for longer is left for another one."""
LIST_LIMIT_BYTES = 8 * 2**20
"""The hashes of a file of 256 GiB."""


class WeightsClient:
    """`ports.WeightsLink`. An async context manager: leaving it closes every connection."""

    def __init__(self) -> None:
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> WeightsClient:
        self._opened = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=3.0, sock_read=SILENCE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": MSGPACK_TYPE, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=2**20,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def offer(self, peer: PeerInfo, model_id: str) -> WeightsOffer | None:
        return await self._ask(WeightsOffer, peer, OFFER_PATH, {"model": model_id})

    async def pieces(self, peer: PeerInfo, digest: str) -> FilePieces:
        return self._present(await self._ask(FilePieces, peer, f"/v1/weights/{digest}/pieces"), peer)

    async def held(self, peer: PeerInfo, digest: str) -> HeldPieces:
        return self._present(await self._ask(HeldPieces, peer, f"/v1/weights/{digest}/held"), peer)

    async def read(self, peer: PeerInfo, digest: str, start: int, length: int) -> bytes:
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        url = url_of(peer.endpoint, f"/v1/weights/{digest}/data")
        with as_peer_errors(peer.endpoint):
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status != 206:
                    raise _refusal(await read_reply(response), peer)
                body = (await read_reply(response, length)).body
        if len(body) != length:
            raise PeerError(f"{peer.endpoint} sent {len(body)} bytes of a piece of {length}.")
        return body

    async def _ask(self, kind: type[T], peer: PeerInfo, path: str, query: dict[str, str] | None = None) -> T | None:
        """None for 404."""
        with as_peer_errors(peer.endpoint):
            async with (
                asyncio.timeout(ASK_TIMEOUT_S),
                self._session.get(url_of(peer.endpoint, path), params=query, allow_redirects=False) as response,
            ):
                reply = await read_reply(response, LIST_LIMIT_BYTES)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise _refusal(reply, peer)
        return decode(kind, reply.body, reply.content_type)

    def _present(self, answer: T | None, peer: PeerInfo) -> T:
        if answer is None:
            raise PeerError(f"{peer.endpoint} no longer has what it offered.")
        return answer

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError("WeightsClient is used outside its `async with`")
        return self._opened


def _refusal(reply: Reply, peer: PeerInfo) -> PeerError | Unavailable:
    """Also where the peer says that the request is at fault: it is nobody else's."""
    failure = failure_of(reply, peer.endpoint)
    return failure if isinstance(failure, PeerError | Unavailable) else PeerError(str(failure))
