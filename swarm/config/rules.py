"""What values a setting may have: its type, and the range where the type says too little."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from swarm.config.catalog import Setting, suggest
from swarm.discovery.static_peers import parse_endpoint
from swarm.domain.errors import ConfigError
from swarm.domain.memory import is_memory_limit
from swarm.membership.strangers import is_node_id

NAME_LIMIT = 63
"""Characters of a machine's name: the length of a DNS label, which mDNS makes of it."""
CEILING = 2**31 - 1
"""Of every number: what timers and sockets take without overflow. `inf` is above it, and `nan` passes no comparison."""


@dataclass(frozen=True, slots=True)
class Rule:
    allowed: str
    """Ends the sentence "it must be …"."""
    holds: Callable[[Any], bool]


def check(setting: Setting, value: object, *, is_text: bool) -> Any:
    """The value as the setting's type, or `ConfigError` with what is allowed. `is_text`: it comes from a variable."""
    rule = RULES.get(setting.name) or DEFAULT_RULES.get(setting.type)
    typed = _typed(setting, value, is_text, rule)
    if rule is not None and not rule.holds(typed):
        raise ConfigError(f"{_shown(value)} is not allowed: it must be {rule.allowed}")
    return typed


def _typed(setting: Setting, value: object, is_text: bool, rule: Rule | None) -> Any:
    is_list = get_origin(setting.type) is tuple
    if is_list and is_text:
        value = tuple(item for part in str(value).split(",") if (item := part.strip()))
    elif is_list and isinstance(value, list):
        value = tuple(value)
    try:
        # Strict, so that TOML's `port = true` is not port 1; a variable has only text to offer.
        return TypeAdapter(setting.type).validate_python(value, strict=not is_text)
    except ValidationError:
        allowed = rule.allowed if rule else _type_in_words(setting.type)
        near = f"; {suggest(str(value), get_args(setting.type))}" if get_origin(setting.type) is Literal else ""
        raise ConfigError(f"{_shown(value)} is not allowed: it must be {allowed}{near}") from None


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | tuple | list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _type_in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return "true or false (in a variable also 1, 0, yes, no)" if kind is bool else "text in quotes"


def _is_port(port: int) -> bool:
    return 0 <= port <= 65535


def is_blocks(text: str) -> bool:
    """`auto`, `none`, `all`, a count of at least 1, or `A:B` with A below B."""
    if span := re.fullmatch(r"(\d{1,6}):(\d{1,6})", text, re.ASCII):
        return int(span[1]) < int(span[2])
    is_count = re.fullmatch(r"\d{1,6}", text, re.ASCII) is not None and int(text) > 0
    return is_count or text in ("auto", "none", "all")


def is_listening_address(text: str) -> bool:
    """An IP address that means one interface: not 0.0.0.0, not ::, however they are written; no multicast."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    plain = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return not (plain.is_unspecified or plain.is_multicast or str(plain) == "255.255.255.255")


def is_peer(text: str) -> bool:
    """As discovery understands it."""
    try:
        parse_endpoint(text)
    except ConfigError:
        return False
    return True


def is_origin(text: str) -> bool:
    """As browsers send it; some programs built on one have a scheme of their own."""
    return text == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]*", text) is not None


def _is_name(text: str) -> bool:
    return len(text) <= NAME_LIMIT and text.isprintable()


WHOLE = Rule("a whole number above 0", lambda number: 0 < number <= CEILING)
NUMBER = Rule("a number above 0", lambda number: 0 < number <= CEILING)
COUNT = Rule("a whole number, 0 or more", lambda number: 0 <= number <= CEILING)
DURATION = Rule("a number, 0 or more", lambda number: 0 <= number <= CEILING)
PORT = Rule("a TCP port, 0 to 65535, where 0 takes any free one", _is_port)

DEFAULT_RULES: Mapping[Any, Rule] = MappingProxyType({int: WHOLE, float: NUMBER})
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "api.host": Rule(
            "an IP address of this machine, such as 192.168.1.20 or 127.0.0.1, or empty to have the private LAN "
            "address chosen; 0.0.0.0 and :: are refused, because they open the API to every network of the machine",
            lambda text: text == "" or is_listening_address(text),
        ),
        "api.port": PORT,
        "api.port_tries": COUNT,
        "api.drain_s": DURATION,
        "api.keys": Rule(
            "a list of keys, each of 8 or more printable ASCII characters without spaces",
            lambda keys: all(len(key) >= 8 and key.isascii() and key.isprintable() and " " not in key for key in keys),
        ),
        "api.cors_origins": Rule(
            'a list of origins such as http://localhost:3000 or app://obsidian.md, or "*" for all',
            lambda origins: all(map(is_origin, origins)),
        ),
        "discovery.peers": Rule(
            "a list of HOST:PORT, such as 192.168.1.20:17615 or [fd00::20]:17615",
            lambda peers: all(map(is_peer, peers)),
        ),
        "engine.model": Rule("a folder, a Hugging Face name, demo, or auto", lambda text: text.strip() != ""),
        "engine.blocks": Rule(
            "auto, none, all, how many (such as 12), or A:B with A below B (such as 0:12 for blocks 0 to 11)", is_blocks
        ),
        "engine.memory_limit": Rule(
            "a size such as 2GiB or 500MB, a share such as 50%, or empty for what is free", is_memory_limit
        ),
        "engine.queue_limit": COUNT,
        "engine.threads": COUNT,
        "engine.chain_port": PORT,
        "engine.check_peers_s": DURATION,
        "federation.anchors": Rule(
            "a list of ids of nodes, as `main.py peers` lists them", lambda ids: all(map(is_node_id, ids))
        ),
        "federation.examine_every_s": DURATION,
        "federation.patience": Rule("a number, 1 or more", lambda number: 1 <= number <= CEILING),
        "weights.rate_limit_mbit": DURATION,
        "weights.disk_limit_gib": DURATION,
        "weights.look_s": DURATION,
        "host.name": Rule(f"at most {NAME_LIMIT} printable characters", _is_name),
    }
)
