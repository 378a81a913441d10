"""HTTP to another node: bounded replies, and every foreign exception as a `PeerError`."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from swarm.domain.errors import PeerError, RequestError, Unavailable
from swarm.domain.nodes import Endpoint
from swarm.membership.strangers import SENTENCE_LIMIT, clean_text
from swarm.ports.peer_link import PeerRefused
from swarm.wire.codec import MalformedMessage, from_json

REPLY_LIMIT_BYTES = 2**20
CONNECT_TIMEOUT_S = 3.0
"""Outlasts one lost SYN, which is repeated after 1 s, and a second one."""
RETRY_AFTER_MAX_S = 600.0
NEVER_SUCCEEDS = (400, 404, 413, 422)
"""Statuses with which an OpenAI-style server says that the request itself is at fault."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class _ErrorDetails:
    message: str
    param: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _ErrorReply:
    error: _ErrorDetails


def url_of(endpoint: Endpoint, path: str) -> URL:
    return URL.build(scheme="http", host=endpoint.host, port=endpoint.port, path=path)


async def read_reply(response: aiohttp.ClientResponse, limit_bytes: int = REPLY_LIMIT_BYTES) -> Reply:
    """Raises `PeerError` for a body beyond the limit, whatever its length was said to be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise PeerError(f"{response.url.authority} sent a reply of more than {limit_bytes} bytes.")
    return Reply(response.status, response.content_type, bytes(body), response.headers.get("Retry-After"))


@contextmanager
def as_peer_errors(endpoint: Endpoint) -> Iterator[None]:
    """Translates what aiohttp, the sockets and the name resolver raise."""
    try:
        yield
    except TimeoutError:
        raise PeerError(f"{endpoint} did not answer in time.") from None
    except aiohttp.ClientConnectorError as error:
        if error.os_error.errno == errno.ECONNREFUSED:
            raise PeerRefused(f"{endpoint} refuses connections; is the daemon running there?") from None
        raise PeerError(f"{endpoint} cannot be reached: {error.os_error.strerror or 'no connection'}.") from None
    except (aiohttp.ClientError, OSError) as error:
        raise PeerError(
            f"{endpoint} broke the connection off or does not speak HTTP: {type(error).__name__}."
        ) from None
    except ValueError as error:
        raise PeerError(f"{endpoint} cannot be asked: {type(error).__name__}.") from None


def failure_of(reply: Reply, endpoint: Endpoint) -> RequestError | Unavailable | PeerError:
    """What a reply other than 200 means. The peer's words are used where they are an OpenAI-style error."""
    told = _error_details(reply)
    message = clean_text(told.message, SENTENCE_LIMIT) if told else f"{endpoint} answered HTTP {reply.status}."
    if told is not None and reply.status in NEVER_SUCCEEDS:
        return RequestError(message, param=told.param, code=told.code, status=reply.status)
    if reply.status in (429, 503):
        return Unavailable(message, retry_after_s=_retry_after_s(reply.retry_after), busy=reply.status == 429)
    return PeerError(f"{endpoint} failed: {message}" if told else message)


def _error_details(reply: Reply) -> _ErrorDetails | None:
    try:
        return from_json(_ErrorReply, reply.body).error
    except MalformedMessage:
        return None


def _retry_after_s(text: str | None) -> float:
    """2 s where it is missing, a date, or nonsense."""
    try:
        seconds = float(text or "")
    except ValueError:
        return 2.0
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else 2.0
