"""Are the ports free, and if not, who has them?"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.doctor.remedies import let_in
from swarm.doctor.replies import Answered, Reply, Silent
from swarm.doctor.system import System
from swarm.domain.nodes import Endpoint

HIGHEST_PORT = 65535


def bind_problem(endpoint: Endpoint) -> int | None:
    """The error number of listening there; None where it can be done. Nobody can connect meanwhile."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno
    return None


@dataclass(frozen=True, slots=True)
class ApiPortFacts:
    wanted: Endpoint
    bind_problem: int | None
    occupant: Reply | None
    """What the holder of a port that is taken answered."""
    daemon: Endpoint | None
    """Where the daemon of this data folder answers; None where it does not run."""


def judge_api_port(facts: ApiPortFacts) -> Finding:
    wanted, daemon = facts.wanted, facts.daemon
    if daemon is not None and wanted.port in (0, daemon.port):
        return ok("API port", f"the daemon listens on {daemon}")
    match facts.bind_problem:
        case None:
            return ok("API port", f"{wanted} is free")
        case errno.EADDRINUSE:
            return _taken(facts)
        case errno.EADDRNOTAVAIL:
            seen, fix = f"listening on {wanted}: {_words(facts.bind_problem)}", "leave --host out, to have it chosen"
            return problem("API port", f"{wanted.host} is not an address of this machine", seen, fix)
        case errno.EACCES:
            seen = f"listening on {wanted}: {_words(facts.bind_problem)}"
            return problem("API port", f"port {wanted.port} is reserved for the system", seen, "--port 17615")
        case other:
            seen = f"listening on {wanted}: {_words(other)}"
            return problem("API port", f"the API cannot listen on {wanted}", seen, "--host ADDRESS --port PORT")


def _taken(facts: ApiPortFacts) -> Finding:
    port = facts.wanted.port
    where = f"; the daemon is on {facts.daemon}" if facts.daemon else "; the next free port will be taken"
    fix = f"--port {min(port + 1, HIGHEST_PORT)}"
    if isinstance(facts.occupant, Answered):
        status = facts.occupant.status
        cause = f"port {port} is taken by another Local Swarm of this machine{where}"
        seen = f"{status.name} ({status.node}), version {status.version}, answers on {facts.wanted}"
        return note("API port", cause, seen, f"{fix} for this one, if others name its port")
    cause = f"port {port} is taken by another program{where}"
    seen = f"{facts.wanted} is in use, and what holds it is no Local Swarm"
    return problem("API port", cause, seen, f"ss -ltnp 'sport = :{port}'   # says which program\n{fix}")


@dataclass(frozen=True, slots=True)
class OwnApiFacts:
    """What the daemon of this data folder answers on its own address, and on localhost."""

    endpoint: Endpoint | None
    """Where it said that it listens; None where none has ever run."""
    on_lan: Reply | None
    on_localhost: Reply | None
    is_in_use: bool
    """The data folder is."""


def judge_own_api(facts: OwnApiFacts, system: System) -> Finding:
    if isinstance(facts.on_lan, Answered):
        return ok("own API", f"it answers on {facts.endpoint}", f"in {facts.on_lan.round_trip_s * 1000:.0f} ms")
    if facts.endpoint is not None and isinstance(facts.on_localhost, Answered):
        return _lan_side_blocked(facts.endpoint, facts.on_lan, system)
    if facts.is_in_use:
        seen = f"no answer on {facts.endpoint}" if facts.endpoint else "it wrote no address yet"
        return problem("own API", "the daemon of this data folder does not answer", seen, "see its log; start it again")
    return note(
        "own API",
        "no daemon runs on this data folder: what only a daemon can show is left out",
        fix="python main.py --auto --federation",
    )


def _lan_side_blocked(endpoint: Endpoint, on_lan: Reply | None, system: System) -> Finding:
    why = "silence" if isinstance(on_lan, Silent) else "refused"
    return problem(
        "own API",
        "the daemon answers on localhost but not on its LAN address: a firewall on the input side of this machine, "
        "or its address has changed",
        f"{endpoint}: {why}; 127.0.0.1:{endpoint.port}: answers",
        f"{let_in(system, 'tcp', endpoint.port)}\nor, where the address has changed, start the daemon again",
    )


def judge_chain_port(wanted: Endpoint, error: int | None, own_chain_addresses: tuple[str, ...]) -> Finding:
    if any(f"/tcp/{wanted.port}/" in f"{address}/" for address in own_chain_addresses):
        return ok("chain port", f"the daemon's chain listens on port {wanted.port}")
    match error:
        case None:
            return ok("chain port", f"port {wanted.port} is free")
        case errno.EADDRINUSE:
            return note(
                "chain port",
                f"port {wanted.port} is taken; the chain takes the next free one",
                f"{wanted} is in use",
                f"ss -ltnp 'sport = :{wanted.port}'   # says which program\n"
                "where a firewall names the port, set engine.chain_port in config.toml",
            )
        case other:
            return note("chain port", f"the chain cannot listen on {wanted}", _words(other))


def _words(number: int | None) -> str:
    return errno.errorcode.get(number or 0, str(number))
