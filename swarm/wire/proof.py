"""How nodes that have the same API key prove it to each other without sending it.

`X-Swarm-Proof: SHA256(body):HMAC-SHA256(key, method, path, node asked, SHA256(body))`, in hex. Who hears a proof can
ask the same node the same thing again, and nothing else."""

from __future__ import annotations

import hashlib
import hmac

from swarm.domain.ids import NodeId

PROOF_HEADER = "X-Swarm-Proof"


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def make_proof(key: str, method: str, path: str, node: NodeId, body: bytes) -> str:
    digest = digest_of(body)
    return f"{digest}:{_mac(key, method, path, node, digest)}"


def proven_digest(proof: str, keys: tuple[str, ...], method: str, path: str, node: NodeId) -> str | None:
    """Of the body that the proof is for; None where it proves nothing. Takes as long for every key."""
    digest, _, mac = proof.partition(":")
    given = mac.encode()
    matches = [hmac.compare_digest(_mac(key, method, path, node, digest).encode(), given) for key in keys]
    return digest if any(matches) else None


def _mac(key: str, method: str, path: str, node: NodeId, digest: str) -> str:
    message = "\n".join(("local-swarm", method, path, node, digest))
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
