"""What can be set about the API, with its default and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    host: str = ""
    """Address to listen on; empty chooses the machine's private LAN address, or localhost where it has none."""
    port: int = 17615
    """TCP port; 0 takes any free one."""
    port_tries: int = 10
    """How many following ports are tried where `port` is taken."""
    keys: tuple[str, ...] = ()
    """Callers must bring one of these as `Authorization: Bearer KEY`; empty asks for none. Nodes that answer for each
    other need one in common; the first is what this node proves to have."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may call from a browser; `*` is all of them."""
    body_limit_bytes: int = 8 * 2**20
    """Of a request; larger ones get 413. 8 MiB holds a context of a million tokens."""
    keep_alive_s: float = 5.0
    """A comment is sent on a silent stream this often: proxies and Node's fetch cut silent ones."""
    drain_s: float = 5.0
    """At stop, running answers may take this long to finish."""
