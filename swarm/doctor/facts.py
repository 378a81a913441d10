"""Gathers all facts, what can be asked at the same time at the same time: it takes eight seconds at most."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swarm.doctor.asking import Asker
from swarm.doctor.chain import ChainFacts, read_chain
from swarm.doctor.data_folder import FolderFacts, read_folder
from swarm.doctor.known import Known, gather_known, with_replies
from swarm.doctor.multicast import MulticastFacts, listen_and_ask
from swarm.doctor.ports import bind_problem
from swarm.doctor.replies import Answered, Reply
from swarm.doctor.setup import Setup
from swarm.doctor.system import System, read_system
from swarm.doctor.views import answering
from swarm.domain.nodes import Endpoint
from swarm.wire.federation_messages import PeersReply

LOCALHOST = "127.0.0.1"
VIEWS = 8
"""Peers that are asked whether they see this node."""


@dataclass(frozen=True, slots=True)
class OwnDaemon:
    """What was found where the daemon of the data folder should be."""

    endpoint: Endpoint | None = None
    """Where it answers; else where it said that it would."""
    on_lan: Reply | None = None
    on_localhost: Reply | None = None
    occupant: Reply | None = None
    """Of the port that the API wants."""
    table: PeersReply | None = None

    @property
    def answer(self) -> Answered | None:
        return next((reply for reply in (self.on_lan, self.on_localhost) if isinstance(reply, Answered)), None)


@dataclass(frozen=True, slots=True)
class Facts:
    system: System
    folder: FolderFacts
    api_bind_problem: int | None
    chain_bind_problem: int | None
    chain: ChainFacts
    multicast: MulticastFacts | None
    daemon: OwnDaemon
    known: tuple[Known, ...]
    views: dict[Endpoint, PeersReply]
    """The tables of peers that answered, by where."""


async def gather(setup: Setup, asker: Asker) -> Facts:
    async with asyncio.TaskGroup() as tasks:
        system = tasks.create_task(asyncio.to_thread(read_system), name="system")
        chain = tasks.create_task(asyncio.to_thread(read_chain), name="p2pd")
        multicast = tasks.create_task(_multicast(setup), name="multicast")
        daemon = tasks.create_task(find_daemon(setup, asker), name="own daemon")
        folder = read_folder(setup.data_dir, setup.lock_name)
        api_error, chain_error = bind_problem(setup.listen), bind_problem(_chain_endpoint(setup))
    known = await _ask_all(_known(setup, multicast.result(), daemon.result()), asker)
    views = await _views(answering(known)[:VIEWS] if daemon.result().answer else (), asker)
    return Facts(
        system=system.result(),
        folder=folder,
        api_bind_problem=api_error,
        chain_bind_problem=chain_error,
        chain=chain.result(),
        multicast=multicast.result(),
        daemon=daemon.result(),
        known=known,
        views=views,
    )


async def _multicast(setup: Setup) -> MulticastFacts | None:
    if not setup.mdns:
        return None
    hosts = (setup.listen.host, *(address.host for address in setup.addresses))
    own_hosts = frozenset(host.partition("%")[0] for host in hosts)
    return await listen_and_ask(setup.listen.host, setup.interface, own_hosts, setup.dialect)


def _chain_endpoint(setup: Setup) -> Endpoint:
    return Endpoint(setup.listen.host, setup.chain_port)


def _known(setup: Setup, multicast: MulticastFacts | None, daemon: OwnDaemon) -> tuple[Known, ...]:
    own = (daemon.answer.status.node, daemon.answer.status.boot) if daemon.answer else None
    listed = daemon.table.peers if daemon.table else ()
    return gather_known(setup.configured, multicast.adverts if multicast else (), listed, own)


async def find_daemon(setup: Setup, asker: Asker) -> OwnDaemon:
    """The daemon of this data folder: where it said, else where it should be. Another node is not it."""
    port = setup.said_api.port if setup.said_api else setup.listen.port
    places = dict.fromkeys(filter(None, (setup.said_api, Endpoint(setup.listen.host, port), setup.listen)))
    asked = tuple(place for place in places if place.port)
    *on_lan, on_localhost = await asyncio.gather(*map(asker.health, asked), _localhost(port, asker))
    replies = dict(zip(asked, on_lan, strict=True))
    occupant = replies.get(setup.listen)
    is_ours = on_localhost if _is_node(on_localhost, setup) else None
    for endpoint, reply in replies.items():
        if _is_node(reply, setup):
            return OwnDaemon(endpoint, reply, is_ours, occupant, await asker.peers(endpoint))
    table = await asker.peers(Endpoint(LOCALHOST, port)) if is_ours else None
    said = setup.said_api or (Endpoint(setup.listen.host, port) if is_ours else None)
    on_said = replies.get(said) if said else None
    return OwnDaemon(said, None if isinstance(on_said, Answered) else on_said, is_ours, occupant, table)


async def _localhost(port: int, asker: Asker) -> Reply | None:
    return await asker.health(Endpoint(LOCALHOST, port)) if port else None


def _is_node(reply: Reply | None, setup: Setup) -> bool:
    return isinstance(reply, Answered) and reply.status.node == setup.node


async def _ask_all(known: Sequence[Known], asker: Asker) -> tuple[Known, ...]:
    endpoints = tuple(dict.fromkeys(endpoint for one in known for endpoint in one.endpoints))
    replies = await asyncio.gather(*map(asker.health, endpoints))
    return with_replies(known, dict(zip(endpoints, replies, strict=True)))


async def _views(endpoints: Iterable[Endpoint], asker: Asker) -> dict[Endpoint, PeersReply]:
    asked = tuple(endpoints)
    views = await asyncio.gather(*map(asker.peers, asked))
    return {endpoint: view for endpoint, view in zip(asked, views, strict=True) if view is not None}
