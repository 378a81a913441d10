"""`doctor` and `peers`, put together: what they are told of this machine, and whom they ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import swarm
from swarm.app.running import said_api
from swarm.config.settings import Settings
from swarm.discovery.interfaces import places_of
from swarm.discovery.service_record import SERVICE_TYPE, Network, ServiceRecord, read_service
from swarm.discovery.static_peers import static_endpoints
from swarm.doctor.addresses import LocalAddress
from swarm.doctor.asking import Asker
from swarm.doctor.examination import examine
from swarm.doctor.finding import Finding
from swarm.doctor.mdns_packet import Dialect, RawService
from swarm.doctor.setup import Setup
from swarm.domain.errors import ConfigError
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Advert, Endpoint
from swarm.host.addresses import Interface, choose_lan_address, interface_kind, read_interfaces
from swarm.host.clock import SystemClock
from swarm.host.folders import LOCK_NAME, DataFolder, resolve_data_dir
from swarm.host.identity import node_id
from swarm.wire.codec import PROTOCOL_VERSION
from swarm.wire.federation_messages import PeersReply


def diagnose(settings: Settings) -> tuple[Finding, ...]:
    """Ends within 10 s."""
    return asyncio.run(examine(setup_of(settings), SystemClock()))


def setup_of(settings: Settings) -> Setup:
    interfaces = read_interfaces()
    host = settings.api.host or choose_lan_address(interfaces).host
    data_dir = resolve_data_dir(settings.host.data_dir)
    return Setup(
        listen=Endpoint(host, settings.api.port),
        interface=_interface_of(host, interfaces),
        addresses=local_addresses(interfaces),
        chain_port=settings.engine.chain_port,
        data_dir=data_dir,
        lock_name=LOCK_NAME,
        node=_own_node(DataFolder(data_dir).identity_path),
        said_api=said_api(data_dir),
        configured=static_endpoints(settings.discovery.peers),
        mdns=settings.discovery.mdns,
        dialect=_dialect(host),
        version=swarm.__version__,
        protocol=PROTOCOL_VERSION,
    )


def local_addresses(interfaces: tuple[Interface, ...]) -> tuple[LocalAddress, ...]:
    """Private ones of interfaces that are up, in the order in which the daemon would choose."""
    left = [interface for interface in interfaces if interface.is_up and interface.addresses]
    found: list[LocalAddress] = []
    while left:
        chosen = choose_lan_address(left)
        best = next(interface for interface in left if interface.name == chosen.interface)
        left.remove(best)
        hosts = sorted(best.addresses, key=lambda host: host != chosen.host)
        kind = interface_kind(best.name)
        found += [LocalAddress(host, best.name, kind, _networks_of(host)) for host in hosts]
    return tuple(found)


def _networks_of(host: str) -> tuple[Network, ...]:
    return next((place.networks for place in places_of((host,))), ())


def _interface_of(host: str, interfaces: tuple[Interface, ...]) -> str:
    return next((interface.name for interface in interfaces if host in interface.addresses), "")


def _dialect(host: str) -> Dialect:
    networks = _networks_of(host)

    def read(service: RawService) -> Advert | None:
        record = ServiceRecord(service.name, service.port, service.addresses, service.properties)
        # Of every node, this one included: another machine may have its id.
        return read_service(record, NodeId(""), networks)

    return Dialect(SERVICE_TYPE, read)


def _own_node(path: Path) -> NodeId | None:
    """Only looks: the daemon would make a key, or set a damaged one aside."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return node_id(key.public_key()) if isinstance(key, Ed25519PrivateKey) else None


def running_peers(settings: Settings, named: Endpoint | None) -> tuple[Endpoint, PeersReply]:
    """What the running daemon sees. Raises `ConfigError` where none answers."""
    if named is not None:
        return asyncio.run(_first_table((named,)))
    interfaces = read_interfaces()
    configured = Endpoint(settings.api.host or choose_lan_address(interfaces).host, settings.api.port)
    said = said_api(resolve_data_dir(settings.host.data_dir))
    return asyncio.run(_first_table(tuple(dict.fromkeys(filter(None, (said, configured))))))


async def _first_table(places: tuple[Endpoint, ...]) -> tuple[Endpoint, PeersReply]:
    async with Asker(SystemClock()) as asker:
        for place in places:
            if (table := await asker.peers(place)) is not None:
                return place, table
    tried = " and ".join(map(str, places))
    raise ConfigError(
        f"no daemon answers on {tried}; start one with: python main.py --auto\n"
        "or say where it is: python main.py peers --url http://HOST:PORT; python main.py doctor says what is wrong"
    )
