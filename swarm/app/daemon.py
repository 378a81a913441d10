"""All parts of a node, put together: who knows whom, in which order they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
from dataclasses import replace
from functools import partial

from swarm.api.server import ApiServer
from swarm.api.services import ApiServices
from swarm.app.banner import Choices, banner, coverage_line, ready_line, serving_line
from swarm.app.broadcast import Broadcast
from swarm.app.loadable import Loadable
from swarm.app.network_watch import NetworkWatch
from swarm.app.node_weights import build_weights
from swarm.app.on_demand import OnDemand
from swarm.app.peer_checks import PeerChecks
from swarm.app.running import API, update_state
from swarm.app.this_node import Identity, advert_of, chain_addresses_of, status_of
from swarm.app.votes import build_votes
from swarm.config.settings import Settings
from swarm.discovery.service import SwarmDiscovery
from swarm.discovery.static_peers import static_endpoints
from swarm.domain.coverage import strength
from swarm.domain.events import MembershipEvent, PeerChanged, PeerJoined, PeerLeft, PeerSuspected
from swarm.domain.ids import NodeId
from swarm.domain.nodes import Advert, Endpoint, NodeStatus, PeerInfo, statuses_of_living
from swarm.engine.engine import Engine, EnginePlace
from swarm.engine.model_choice import ModelChoice, choose_model, hub_cache_of
from swarm.engine.model_tools import WorkerTools
from swarm.engine.state import EngineState
from swarm.federation.router import Router
from swarm.federation.swarm import FederatedSwarm
from swarm.federation.voters import ThisNode
from swarm.generation.admission import Admission
from swarm.generation.admitted_tools import AdmittedTools
from swarm.generation.answering import AnsweringNode
from swarm.generation.local_scores import LocalScores
from swarm.generation.local_votes import LocalVotes
from swarm.host.addresses import AddressChoice, lan_address
from swarm.host.clock import SystemClock, new_boot_id, new_id
from swarm.host.console import ProgressBar
from swarm.host.folders import DataFolder
from swarm.host.hardware import machine_name, read_hardware
from swarm.host.identity import load_identity
from swarm.membership.memory import PeerMemory
from swarm.membership.shell import Membership
from swarm.peering.client import FederationClient

logger = logging.getLogger(__name__)

KNOWN_PEERS = "peers.json"
LAST_MODEL = "model"
"""In state.json: the model that was used last."""


class Daemon:
    """Built at once, without any I/O but reading this machine and its data folder; `serve` runs it."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self._settings, self._folder = settings, folder
        self._clock = SystemClock()
        self._bar = ProgressBar()
        self._hardware = read_hardware()
        self._address = _address(settings)
        self._cache = hub_cache_of(settings.engine.hub_cache, os.environ)
        self._choice = self._choose_model()
        self._identity = Identity(
            load_identity(folder.identity_path).node,
            new_boot_id(),
            machine_name(settings.host.name),
            self._hardware,
            settings.federation.instances,
        )
        self._changed = asyncio.Event()
        self._told: dict[str, object] = {}
        self._chain_addresses: dict[NodeId, tuple[str, ...]] = {}
        self._link = FederationClient(self._clock, settings.api.keys)
        self._build_core()

    def _choose_model(self) -> ModelChoice:
        state = self._folder.read_json(self._folder.state_path.name) or {}
        last_used = state[LAST_MODEL] if isinstance(state.get(LAST_MODEL), str) else None
        engine = self._settings.engine
        return choose_model(engine.model, last_used, self._cache, self._hardware.free_memory_bytes)

    def _build_core(self) -> None:
        settings, clock = self._settings, self._clock
        node = self._identity.node
        weights = build_weights(settings, node, self._cache, self._folder, self._peers, self._blame, clock)
        self._weights = weights
        place = EnginePlace(
            self._identity.node, self._address.host, str(self._folder.chain_identity_path), str(self._cache)
        )
        self._engine = Engine(settings.engine, self._choice, place, clock, self._engine_changed, weights.search)
        self._admission = Admission(settings.engine.slots, settings.engine.queue_limit, clock)
        self._answering = AnsweringNode(self._engine, self._admission, clock)
        self._membership = Membership(self.status, self._link, clock, settings.membership, lambda: self._api.endpoints)
        self._membership.subscribe(self._membership_changed)
        events = Broadcast[MembershipEvent]()
        self._membership.subscribe(events.publish)
        self._memory = PeerMemory(
            self._folder.read_json(KNOWN_PEERS),
            self._membership.peers,
            partial(self._folder.write_json, KNOWN_PEERS),
            clock,
        )
        self._membership.subscribe(self._memory.hear)
        self._checks = PeerChecks(
            self._engine,
            self._membership.peers,
            lambda: self._admission.load,
            settings.engine.check_peers_s,
            clock,
            random.Random(self._identity.boot),
        )
        votes = LocalVotes(self._answering, self.status, clock)
        scores = LocalScores(self._engine, self._admission)
        this = ThisNode(self._answering, votes.votes, self.status, scores.scores)
        peers = self._membership.peers
        self._votes = build_votes(settings.federation, this, peers, self._link, self._folder, clock)
        self._checks.subscribe(self._votes.hear)
        memory = self._votes.memory
        federation = FederatedSwarm(this, peers, self._link, settings.federation, clock, memory)
        router = Router(this, peers, self._link, federation, settings.federation, clock)
        loadable = Loadable(self._choice, self._cache)
        self._on_demand = self._loading_on_demand(router, loadable) if settings.engine.load_on_demand else None
        services = ApiServices(
            answers=self._on_demand or router,
            loadable=loadable.infos if settings.engine.load_on_demand else tuple,
            votes=votes.votes,
            status=lambda: replace(self.status(), news=self._membership.news()),
            peers=lambda: self._checks.annotated(peers()),
            hear_hello=self._membership.said_hello,
            hear_goodbye=self._membership.said_goodbye,
            clock=clock,
            new_id=new_id,
            strategy=settings.federation.strategy,
            weights=weights.shelf if settings.weights.share else None,
            scores=scores.scores,
            decisions=memory.decisions.newest_first,
            subscribe=events.subscribe,
            tools=AdmittedTools(WorkerTools(self._engine), self._admission),
        )
        self._api = ApiServer(services, settings.api, self._address.host)

    def _loading_on_demand(self, router: Router, loadable: Loadable) -> OnDemand:
        return OnDemand(router, self._engine, loadable.find, self._is_served, lambda: self._admission.load, self._clock)

    def _is_served(self, model: str) -> bool:
        others = statuses_of_living(self._peers())
        return any(node.model and node.model.id == model and node.can_answer for node in (self.status(), *others))

    def _peers(self) -> tuple[PeerInfo, ...]:
        return self._membership.peers()

    def _blame(self, node: NodeId) -> None:
        self._votes.memory.reputation.checked(node, False)

    def status(self) -> NodeStatus:
        status = status_of(self._identity, self._engine.state, self._admission, self._answering)
        return replace(status, chosen=self._engine.choice.chosen, wanted=self._weights.store.wanted)

    def kill_worker(self) -> None:
        """For an end without ceremony."""
        self._engine.kill()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def serve(self, stop: asyncio.Event) -> None:
        """Until `stop`. Then: no new requests, running ones are finished, goodbye, the worker is ended."""
        static = static_endpoints(self._settings.discovery.peers)
        self._membership.recall(self._memory.known())
        async with self._link, self._weights.link, contextlib.AsyncExitStack() as api:
            await api.enter_async_context(self._api)
            self._membership.add_static(static)  # Now that this node knows which of them is itself.
            await asyncio.to_thread(update_state, self._folder, {API: str(self._api.endpoint)})
            self._say(banner(self._identity.node, self._identity.name, self._api.endpoint, self._choices(len(static))))
            await self._live(stop, api)

    async def _live(self, stop: asyncio.Event, api: contextlib.AsyncExitStack) -> None:
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(self._engine.run(), name="engine")]
            async with contextlib.AsyncExitStack() as parts:
                parts.callback(lambda: [task.cancel() for task in background])
                background.append(tasks.create_task(self._membership.run(), name="membership"))
                background.append(tasks.create_task(self._memory.run(), name="known peers"))
                background.append(tasks.create_task(self._checks.run(), name="peer checks"))
                background.append(tasks.create_task(self._weights.run(), name="weights"))
                background.append(tasks.create_task(self._votes.run(), name="reputations"))
                if self._on_demand:
                    background.append(tasks.create_task(self._on_demand.run(), name="models on demand"))
                parts.push_async_callback(self._membership.say_goodbye)
                discovery = await parts.enter_async_context(self._discovery())
                asked_host = self._settings.api.host
                network = NetworkWatch(
                    self._api, discovery, self._advert, asked_host, self._clock, self._engine.move_chain
                )
                watching = tasks.create_task(network.run(), name="network")
                background.append(tasks.create_task(self._tell_changes(network), name="changes"))
                # Left first: a goodbye is believed only once the socket is closed.
                parts.push_async_callback(api.aclose)
                parts.callback(watching.cancel)
                await stop.wait()

    def _discovery(self) -> SwarmDiscovery:
        return SwarmDiscovery(
            self._advert(self._api.endpoints),
            self._address.host,
            self._settings.discovery,
            self._membership.heard_of,
            self._membership.said_goodbye,
        )

    def _advert(self, endpoints: tuple[Endpoint, ...]) -> Advert:
        return advert_of(self.status(), endpoints)

    def _choices(self, static_peers: int) -> Choices:
        settings = self._settings
        hardware = self._hardware.summary()
        return Choices(
            hardware, self._address, self._choice, settings.federation, settings.discovery.mdns, static_peers
        )

    async def _tell_changes(self, network: NetworkWatch) -> None:
        """Tells the operator, programs and the LAN what became of the model."""
        is_ready, told, told_coverage = False, "", ""
        while True:
            self._changed.clear()
            status, state = self.status(), self._engine.state
            self._bar.show(state.progress)
            if status.can_answer and not is_ready:
                is_ready = True
                if not self._engine.choice.is_stopgap:
                    await asyncio.to_thread(update_state, self._folder, {LAST_MODEL: self._engine.choice.remembered})
                print(ready_line(status, self._api.endpoint), flush=True)
            if state.complete and state.why != told:
                told = state.why
                self._say(serving_line(status, told))
            if state.complete and state.coverage and strength(state.coverage) != told_coverage:
                told_coverage = strength(state.coverage)
                self._say(coverage_line(state.coverage))
            await network.announce()
            await self._changed.wait()

    def _say(self, text: str) -> None:
        self._bar.show(None)
        print(text, file=sys.stderr, flush=True)

    # -- news ---------------------------------------------------------------------------------------------------------

    def _engine_changed(self, state: EngineState) -> None:
        self._changed.set()
        self._weights.follow(self._engine, state)
        missing = [str(span) for span in state.missing]
        fields: dict[str, object] = {"state": state.state, "blocks": str(state.blocks), "missing": missing}
        if fields != self._told:  # Not at every step of its progress.
            self._told = fields
            logger.info("the model's state changed", extra={"fields": fields})

    def _membership_changed(self, event: MembershipEvent) -> None:
        match event:
            case PeerJoined(peer) | PeerChanged(peer) if peer.status and self._shares_model(peer.status):
                self._know_chain_of(peer.node, chain_addresses_of(peer))
            case PeerSuspected(peer):
                self._engine.suspect(self._chain_addresses.get(peer.node, ()))
            case PeerLeft(peer, _):
                self._link.forget(peer.node)
                self._know_chain_of(peer.node, ())
            case _:
                pass

    def _know_chain_of(self, node: NodeId, addresses: tuple[str, ...]) -> None:
        """What a node no longer names is gone with the worker that it had."""
        known = self._chain_addresses.pop(node, ())
        self._engine.forget([address for address in known if address not in addresses])
        if addresses:
            self._chain_addresses[node] = addresses
            self._engine.introduce(addresses)

    def _shares_model(self, theirs: NodeStatus) -> bool:
        ours = self._engine.state.model
        return ours is None or theirs.model is None or theirs.model.digest == ours.digest


def _address(settings: Settings) -> AddressChoice:
    return AddressChoice(settings.api.host, "as asked") if settings.api.host else lan_address()
