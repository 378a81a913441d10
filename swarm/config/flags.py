"""Which setting each flag of the command line sets. Light to import, because --help waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SETTING_OF_FLAG: Mapping[str, str] = MappingProxyType(
    {
        "--model": "engine.model",
        "--blocks": "engine.blocks",
        "--engine": "engine.engine",
        "--no-share-weights": "weights.share",
        "--no-fetch-weights": "weights.fetch",
        "--memory": "engine.memory_limit",
        "--quantization": "engine.quantization",
        "--federation": "federation.enabled",
        "--strategy": "federation.strategy",
        "--host": "api.host",
        "--port": "api.port",
        "--peer": "discovery.peers",
        "--no-mdns": "discovery.mdns",
        "--data-dir": "host.data_dir",
        "--log-level": "log.level",
        "--log-format": "log.format",
    }
)
