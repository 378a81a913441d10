"""Keys of the API, where some are configured: who must bring one, and whether it is right."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from swarm.domain.errors import RequestError
from swarm.domain.ids import NodeId
from swarm.wire.proof import PROOF_HEADER, proven_digest

OPEN_PATHS = ("/", "/health", "/v1/health", "/openapi.json", "/v1/federation/hello", "/v1/federation/goodbye")
"""Whether the node lives, how it is asked, and who is there."""
OPEN_TO_READ = ("/page/", "/v1/federation/", "/v1/weights/")
"""What the status page, the other nodes and `doctor` read; no text of a request is in it."""


class Keys:
    def __init__(self, keys: tuple[str, ...], node: NodeId) -> None:
        self._keys, self._node = keys, node

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        """Raises `RequestError` 401. The digest that the body must have, where another node vouches for it."""
        if not self._keys or method == "OPTIONS" or _is_open(method, path):
            return None
        if proof := headers.get(PROOF_HEADER):
            if digest := proven_digest(proof, self._keys, method, path, self._node):
                return digest
        elif self._is_known(_given(headers)):
            return None
        raise refused()

    def client_of(self, headers: Mapping[str, str], address: str | None) -> str:
        """Who asks, for the fair queue: by the key, where keys are asked for, else by the address."""
        given = _given(headers) if self._keys else ""
        return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:16] if given else address or ""

    def _is_known(self, given: str) -> bool:
        """Compares with all, in constant time."""
        matches = [hmac.compare_digest(key.encode(), given.encode("utf-8", "replace")) for key in self._keys]
        return any(matches)


def refused() -> RequestError:
    message = "This node wants an API key: `Authorization: Bearer KEY`, one of those in its setting api.keys."
    return RequestError(message, status=401, code="invalid_api_key")


def _given(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _is_open(method: str, path: str) -> bool:
    return path in OPEN_PATHS or (method in ("GET", "HEAD") and path.startswith(OPEN_TO_READ))
