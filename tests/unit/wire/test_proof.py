"""A proof is worth nothing for anything but what it was made for."""

from __future__ import annotations

from swarm.domain.ids import NodeId
from swarm.wire.proof import digest_of, make_proof, proven_digest

NODE = NodeId("n1")
KEYS = ("first-key", "other-key")


def test_a_proof_names_the_body_that_it_is_for() -> None:
    proof = make_proof("other-key", "POST", "/v1/x", NODE, b"body")
    assert proven_digest(proof, KEYS, "POST", "/v1/x", NODE) == digest_of(b"body")
    assert "other-key" not in proof


def test_anything_else_proves_nothing() -> None:
    proof = make_proof("first-key", "POST", "/v1/x", NODE, b"body")
    assert proven_digest(proof, KEYS, "GET", "/v1/x", NODE) is None
    assert proven_digest(proof, KEYS, "POST", "/v1/y", NODE) is None
    assert proven_digest(proof, KEYS, "POST", "/v1/x", NodeId("n2")) is None
    assert proven_digest(proof, ("third-key",), "POST", "/v1/x", NODE) is None
    assert proven_digest(digest_of(b"else") + proof[64:], KEYS, "POST", "/v1/x", NODE) is None
    for nonsense in ("", ":", "a:é", "x" * 10_000):
        assert proven_digest(nonsense, KEYS, "POST", "/v1/x", NODE) is None
