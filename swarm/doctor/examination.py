"""All checks, in the order in which a person would look for the fault."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.doctor.addresses import judge_addresses
from swarm.doctor.asking import Asker
from swarm.doctor.chain import judge_chain
from swarm.doctor.coverage import judge_coverage
from swarm.doctor.data_folder import judge_folder
from swarm.doctor.facts import Facts, gather
from swarm.doctor.finding import Finding
from swarm.doctor.multicast_verdict import judge_multicast, judge_neighbours
from swarm.doctor.peers import judge_peers
from swarm.doctor.ports import ApiPortFacts, OwnApiFacts, judge_api_port, judge_chain_port, judge_own_api
from swarm.doctor.setup import Setup
from swarm.doctor.views import Self, judge_ids, judge_seen, judge_table
from swarm.domain.nodes import Endpoint
from swarm.ports.clock import Clock


async def examine(setup: Setup, clock: Clock) -> tuple[Finding, ...]:
    """Asks this machine, the daemon where it runs, and the machines that are known or answer; nobody else."""
    async with Asker(clock) as asker:
        return tuple(judge(setup, await gather(setup, asker)))


def judge(setup: Setup, facts: Facts) -> Iterator[Finding]:
    yield from _this_machine(setup, facts)
    yield from _the_others(setup, facts)


def _this_machine(setup: Setup, facts: Facts) -> Iterator[Finding]:
    daemon, answer = facts.daemon, facts.daemon.answer
    peers = [endpoint for one in facts.known for endpoint in one.endpoints if not one.is_announced]
    yield judge_folder(facts.folder, answer is not None)
    yield from judge_addresses(setup.listen.host, setup.addresses, peers, setup.listen.port)
    where = daemon.endpoint if answer else None
    yield judge_api_port(ApiPortFacts(setup.listen, facts.api_bind_problem, daemon.occupant, where))
    is_in_use = facts.folder.is_in_use
    yield judge_own_api(OwnApiFacts(daemon.endpoint, daemon.on_lan, daemon.on_localhost, is_in_use), facts.system)
    yield judge_chain(facts.chain)
    own_addresses = answer.status.chain_addresses if answer else ()
    chain = Endpoint(setup.listen.host, setup.chain_port)
    yield judge_chain_port(chain, facts.chain_bind_problem, own_addresses)
    yield from judge_coverage(answer.status.coverage if answer else None)


def _the_others(setup: Setup, facts: Facts) -> Iterator[Finding]:
    answer, system = facts.daemon.answer, facts.system
    yield judge_multicast(facts.multicast, system, setup.interface)
    yield judge_neighbours(facts.multicast, facts.known, system, setup.node or "")
    yield from judge_peers(facts.known, setup.version, setup.protocol, system)
    this = Self(setup.node, answer.status.boot if answer else None, facts.folder.is_in_use)
    yield judge_ids(this, facts.known)
    yield from judge_table(facts.daemon.table, facts.known)
    yield from judge_seen(this, facts.daemon.endpoint, facts.views, system)
