"""Who may call: this network's programs and this node's own page, not the pages of other sites.

A web page that somebody reads can send requests into the local network, and DNS rebinding makes such a page look as if
it came from here. The first is told by `Origin` and `Sec-Fetch-Site`, the second by a `Host` that is a stranger's name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from swarm.domain.errors import RequestError

HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.~-]+)?)\]|([^:\[\]/@\s]+))(?::\d{1,5})?", re.ASCII)
"""Clients differ in whether they leave the zone of a link-local address out."""
LOCAL_SUFFIXES = ("", ".local", ".lan", ".home.arpa", ".internal")
"""What a network's own names end in; none of them can be had on the public internet."""


def refuse_strangers(
    method: str, headers: Mapping[str, str], own_names: Collection[str], allowed_origin: str | None = None
) -> None:
    """Raises `RequestError` 403 for a rebound name or a page of another site, unless it is an allowed one."""
    host = headers.get("Host", "")
    if not host_is_local(host, own_names):
        raise RequestError(
            "This node answers to its addresses and its own name only; open it by its IP address.", status=403
        )
    if allowed_origin is None and not _is_navigation(method, headers) and not comes_from_here(headers, host):
        message = "Pages of other sites may not call this node; its setting api.cors_origins names those that may."
        raise RequestError(message, status=403)


def host_is_local(host: str, own_names: Collection[str]) -> bool:
    """An IP address, localhost, or a name of this machine within the local network."""
    match = HOST.fullmatch(host) if len(host) <= 255 else None
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    if _is_address(name) or name == "localhost" or name.endswith(".localhost"):
        return True
    return any(name == own.lower() + suffix for own in own_names if own for suffix in LOCAL_SUFFIXES)


def comes_from_here(headers: Mapping[str, str], host: str) -> bool:
    """Only browsers send these headers; programs are not asked."""
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return False
    return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")


def _is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Somebody follows a link to the status page; the site with the link cannot read what comes."""
    return method in ("GET", "HEAD") and headers.get("Sec-Fetch-Mode") == "navigate"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
