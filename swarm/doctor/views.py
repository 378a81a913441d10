"""Who sees whom: ids that two machines have, and peers that do not see this node. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from swarm.doctor.finding import Finding, note, ok, problem
from swarm.doctor.known import Known
from swarm.doctor.remedies import let_in
from swarm.doctor.replies import Answered
from swarm.doctor.system import System
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Endpoint
from swarm.wire.federation_messages import PeersReply


@dataclass(frozen=True, slots=True)
class Self:
    """This machine's node."""

    node: NodeId | None
    """None where the data folder has no key yet."""
    boot: BootId | None
    """None where its daemon does not run, or does not answer."""
    may_run: bool
    """The data folder is in use."""


def judge_ids(this: Self, known: Iterable[Known]) -> Finding:
    """Runs that are there at the same time under one id."""
    runs = _runs(known)
    if this.node is not None and this.boot is not None:
        runs[this.node][this.boot] = "this machine"
    elif this.node is not None and this.node in runs and not this.may_run:
        runs[this.node][BootId("")] = "this machine's data folder"
    for node, boots in runs.items():
        if len(boots) > 1:
            whose = "this machine's own" if node == this.node else "one"
            cause = f"two nodes answer with {whose} id {node}: one data folder was copied from the other"
            fix = "on the copy: stop the daemon, rm identity.pem chain-identity.key in its data folder, start it"
            return problem("node id", cause, " and ".join(boots.values()), fix)
    return ok("node id", "nobody else answers with the same id")


def _runs(known: Iterable[Known]) -> dict[NodeId, dict[BootId, str]]:
    runs: dict[NodeId, dict[BootId, str]] = defaultdict(dict)
    for one in known:
        for endpoint, reply in zip(one.endpoints, one.replies, strict=True):
            if isinstance(reply, Answered):
                runs[reply.status.node].setdefault(reply.status.boot, f"{reply.status.name} at {endpoint}")
    return runs


def judge_table(table: PeersReply | None, known: Iterable[Known]) -> Iterator[Finding]:
    """Does the running daemon list all whom we reach ourselves?"""
    if table is None:
        return
    listed = {peer.node for peer in table.peers}
    missing = [one for one in known if isinstance(one.best, Answered) and one.best.status.node not in listed]
    missing = [one for one in missing if isinstance(one.best, Answered) and one.best.status.node != table.self.node]
    if missing:
        names = ", ".join(one.name for one in missing)
        cause = f"the daemon does not list {names}, which answers us: it was just started, or multicast is blocked"
        where = missing[0].endpoints[0]
        yield note("daemon's table", cause, f"{len(listed)} listed", f"ask again in 10 s; then: --peer {where}")
    else:
        yield ok("daemon's table", f"the daemon lists {len(listed)} peers", _standings(table))


def _standings(table: PeersReply) -> str:
    return ", ".join(f"{peer.node[:8]} {peer.standing}" for peer in table.peers[:8])


def judge_seen(
    this: Self, own: Endpoint | None, views: Mapping[Endpoint, PeersReply], system: System
) -> Iterator[Finding]:
    """Do the peers reach us? Their rows of this node tell what comes in, which nothing here can tell."""
    if this.node is None or this.boot is None or own is None or not views:
        return
    unseen = [(view, _trouble(this.node, view)) for view in views.values()]
    bad = [(view, trouble) for view, trouble in unseen if trouble]
    if not bad:
        yield ok("seen by peers", f"{_count(views)} {'lists' if len(views) == 1 else 'list'} this node as alive")
        return
    seen = "; ".join(f"{view.self.name}: {trouble}" for view, trouble in bad)
    cause = "peers do not reach this node, though it reaches them: a firewall on this machine blocks what comes in"
    fix = let_in(system, "tcp", own.port)
    if all(trouble == NOT_LISTED for _, trouble in bad):
        yield note("seen by peers", f"{cause}; or it was just started", seen, fix)
    else:
        yield problem("seen by peers", cause, seen, fix)


NOT_LISTED = "does not list it"


def _trouble(node: NodeId, view: PeersReply) -> str:
    row = next((peer for peer in view.peers if peer.node == node), None)
    if row is None:
        return NOT_LISTED
    return "" if row.standing == "alive" else f"{row.standing}: {row.problem or 'no answer'}"


def _count(views: Mapping[Endpoint, PeersReply]) -> str:
    return f"{len(views)} {'peer' if len(views) == 1 else 'peers'}"


def answering(known: Sequence[Known]) -> tuple[Endpoint, ...]:
    """Where each peer that answers does so."""
    return tuple(
        next(end for end, reply in zip(one.endpoints, one.replies, strict=True) if isinstance(reply, Answered))
        for one in known
        if isinstance(one.best, Answered)
    )
