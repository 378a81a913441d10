"""All that can be set, by part: one field is one section of config.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from swarm.api.settings import ApiSettings
from swarm.discovery.settings import DiscoverySettings
from swarm.engine.settings import EngineSettings
from swarm.federation.settings import FederationSettings
from swarm.host.settings import HostSettings, LogSettings
from swarm.membership.settings import MembershipSettings
from swarm.weights.settings import WeightsSettings


@dataclass(frozen=True, slots=True)
class Settings:
    api: ApiSettings = field(default_factory=ApiSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    membership: MembershipSettings = field(default_factory=MembershipSettings)
    federation: FederationSettings = field(default_factory=FederationSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    weights: WeightsSettings = field(default_factory=WeightsSettings)
    host: HostSettings = field(default_factory=HostSettings)
    log: LogSettings = field(default_factory=LogSettings)
    config_files: tuple[Path, ...] = ()
    """Not a section: the files that were read, weakest first."""
