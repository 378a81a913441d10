"""Proves to another node that this one has the same API key."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.domain.ids import NodeId
from swarm.wire.proof import PROOF_HEADER, make_proof


@dataclass(frozen=True, slots=True)
class Prover:
    key: str = ""
    """Empty: there is nothing to prove."""

    def headers(self, node: NodeId | None, method: str, path: str, body: bytes) -> dict[str, str]:
        """Of a request to `node`; None asks what is open to everybody."""
        if not self.key or node is None:
            return {}
        return {PROOF_HEADER: make_proof(self.key, method, path, node, body)}
