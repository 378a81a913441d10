"""What the answers to our mDNS question, and their absence, mean. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.doctor.known import Known
from swarm.doctor.multicast import MulticastFacts
from swarm.doctor.remedies import MAC_LOCAL_NETWORK, MDNS_PORT, WSL_MIRRORED, let_in, let_out
from swarm.doctor.replies import Answered
from swarm.doctor.system import System

FORBIDDEN_BY_ROUTE = (errno.EACCES, errno.EINVAL, errno.ENETUNREACH, errno.EHOSTUNREACH)
"""A `prohibit`, `blackhole` or `unreachable` route gives these, and an interface without any route the third."""


def judge_multicast(facts: MulticastFacts | None, system: System, interface: str) -> Finding:
    """Can this machine send and hear multicast at all? `facts` is None where the settings forbid mDNS."""
    if facts is None:
        cause = "mDNS is switched off by the settings: other machines are found by --peer alone"
        return note("multicast", cause, "discovery.mdns is false", "leave --no-mdns out")
    if facts.open_error is not None:
        return _not_opened(facts, interface)
    if facts.send_error is not None:
        return _not_sent(facts, facts.send_error, system, interface)
    if not facts.heard_itself:
        return _not_heard(facts, system)
    return ok("multicast", f"mDNS goes out by {facts.host} and comes back")


def _not_opened(facts: MulticastFacts, interface: str) -> Finding:
    seen = f"joining the mDNS group on {facts.host}: {_words(facts.open_error)}"
    if facts.open_error == errno.EADDRINUSE:
        cause = f"another program keeps UDP port {MDNS_PORT}, which mDNS needs, for itself"
        return problem("multicast", cause, seen, f"ss -lunp 'sport = :{MDNS_PORT}'   # says which program\n{_BY_PEER}")
    if facts.open_error == errno.ENOBUFS:
        cause = "this system allows no further multicast group"
        fix = f"sudo sysctl net.ipv4.igmp_max_memberships=20   # its default\n{_BY_PEER}"
        return problem("multicast", cause, seen, fix)
    cause = f"the interface {interface or 'of ' + facts.host} takes no multicast"
    return problem("multicast", cause, seen, f"sudo ip link set {interface or 'IFACE'} multicast on\n{_BY_PEER}")


def _not_sent(facts: MulticastFacts, error: int, system: System, interface: str) -> Finding:
    seen = f"sending to port {MDNS_PORT} of the mDNS group from {facts.host}: {_words(error)}"
    if system.kind == "macos":
        cause = "macOS does not let this program use the local network"
        return problem("multicast", cause, seen, f"{MAC_LOCAL_NETWORK}\n{_BY_PEER}")
    if error in FORBIDDEN_BY_ROUTE:
        fix = _route_for_multicast(facts.host, interface)
        return problem("multicast", "the routing table forbids multicast", seen, f"{fix}\n{_BY_PEER}")
    cause = "a firewall on this machine blocks mDNS on its way out"
    return problem("multicast", cause, seen, f"{let_out(system, 'udp', MDNS_PORT)}\n{_BY_PEER}")


def _route_for_multicast(host: str, interface: str) -> str:
    if ":" in host:
        return f"sudo ip -6 route replace multicast ff00::/8 dev {interface} table local"
    return f"sudo ip route replace 224.0.0.0/4 dev {interface}"


def _not_heard(facts: MulticastFacts, system: System) -> Finding:
    others = f"; heard others: {_shown(facts.machines)}" if facts.machines else ""
    seen = f"our own question, sent from {facts.host}, did not come back{others}"
    if system.kind == "macos":
        cause = "macOS does not let this program use the local network, or its firewall blocks mDNS"
        return problem("multicast", cause, seen, f"{MAC_LOCAL_NETWORK}\n{_BY_PEER}")
    cause = "a firewall on this machine blocks mDNS on its way in"
    return problem("multicast", cause, seen, f"{let_in(system, 'udp', MDNS_PORT)}\n{_BY_PEER}")


_BY_PEER = "or name the other machines: --peer HOST:PORT"


def judge_neighbours(facts: MulticastFacts | None, known: Sequence[Known], system: System, own_node: str) -> Finding:
    """Who answered our question? `known` are the nodes that are known by any way, with what they said over TCP."""
    if facts is None:
        return note("mDNS answers", "not asked, as mDNS is switched off")
    nodes = sorted({advert.node for advert in facts.adverts} - {own_node})
    if nodes:
        return ok("mDNS answers", f"{len(nodes)} other {'node' if len(nodes) == 1 else 'nodes'}", ", ".join(nodes))
    if not facts.heard_itself:
        return note("mDNS answers", "none can be heard, as multicast does not work on this machine")
    if system.is_behind_wsl_nat:
        cause = "WSL's own network (NAT) lets neither multicast nor connections of other machines in"
        seen = f"WSL's networking mode is {system.wsl_networking or 'not known'}; no node answered"
        return problem("mDNS answers", cause, seen, WSL_MIRRORED)
    unheard = [one for one in known if not one.is_announced]
    if unheard:
        return _known_but_unheard(facts, unheard)
    return note(
        "mDNS answers",
        "no other node answered: none runs, or this network keeps its machines apart",
        _heard_others(facts),
        "on another machine: python main.py doctor\nwhere one runs: --peer HOST:PORT of it",
    )


def _known_but_unheard(facts: MulticastFacts, unheard: Sequence[Known]) -> Finding:
    names = _shown([str(one.endpoints[0]) for one in unheard])
    answering = any(isinstance(one.best, Answered) for one in unheard)
    over_tcp = "answer over TCP" if answering else "do not answer over TCP either"
    seen = f"known peers ({names}) {over_tcp}; {_heard_others(facts)}"
    cause = "known peers do not answer on mDNS: AP isolation, a guest network, a router between, or a firewall there"
    fix = (
        "in the router or access point: switch AP/client isolation and IGMP snooping off, leave the guest network\n"
        f"on the other machine: python main.py doctor\nuntil then: --peer {unheard[0].endpoints[0]}"
    )
    return note("mDNS answers", cause, seen, fix) if _all_work(unheard) else problem("mDNS answers", cause, seen, fix)


def _all_work(unheard: Sequence[Known]) -> bool:
    """They were named by the operator and answer: nothing is missing."""
    return all(one.is_configured and isinstance(one.best, Answered) for one in unheard)


def _heard_others(facts: MulticastFacts) -> str:
    if facts.machines:
        return f"other devices do answer on mDNS: {_shown(facts.machines)}"
    return "no mDNS packet of any other device was heard"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _words(number: int | None) -> str:
    return os.strerror(number) if number is not None else "no error"
