"""A node that is none: says what it is told to say, over HTTP and mDNS, on a host of a throw-away LAN.

python -m tests.fakes.lan_peer --host 10.77.0.2 [--node ID] [--clock-ahead-s 60] [--announce] [--vote …] …
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from zeroconf import ServiceInfo, Zeroconf

from swarm.discovery.service_record import SERVICE_TYPE, instance_name, txt_properties
from swarm.domain.ids import BootId, NodeId
from swarm.domain.nodes import Advert, Endpoint, Load, NodeStatus, PeerInfo
from swarm.wire.codec import to_plain
from swarm.wire.federation_messages import PeersReply


def options(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=17615)
    parser.add_argument("--node", default="fakefakefakefake")
    parser.add_argument("--boot", default="fakeboot")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--protocol", type=int, default=1)
    parser.add_argument("--clock-ahead-s", type=float, default=0.0)
    parser.add_argument("--announce", action="store_true", help="on mDNS")
    parser.add_argument("--deaf", action="store_true", help="announced, and nobody listens")
    parser.add_argument("--vote", default="", help="what it answers to every vote, as it is; without it nothing is")
    parser.add_argument("--vote-after-s", type=float, default=0.0)
    parser.add_argument("--suspects", default="", metavar="NODE", help="lists this node as one that does not answer")
    return parser.parse_args(argv)


def status_of(said: argparse.Namespace) -> NodeStatus:
    return NodeStatus(
        node=NodeId(said.node),
        boot=BootId(said.boot),
        name="fake",
        version=said.version,
        protocol=said.protocol,
        state="ready",
        hardware="none",
        instances=1,
        load=Load(),
    )


def table_of(said: argparse.Namespace) -> PeersReply:
    suspect = PeerInfo(
        NodeId(said.suspects), BootId("any"), Endpoint("10.77.0.1", 17615), "suspect", None, 9.0, None, "silent"
    )
    return PeersReply(status_of(said), (suspect,) if said.suspects else ())


def replies_of(said: argparse.Namespace) -> dict[str, Any]:
    return {"/v1/federation/health": status_of(said), "/v1/federation/peers": table_of(said)}


def serve(said: argparse.Namespace) -> ThreadingHTTPServer:
    replies = replies_of(said)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(to_plain(replies[self.path])).encode() if self.path in replies else b"{}"
            self.send_response(200 if self.path in replies else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            votes = self.path == "/v1/federation/vote" and said.vote
            time.sleep(said.vote_after_s if votes else 0.0)
            body = said.vote.encode() if votes else b""
            self.send_response(200 if votes else 204)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # Whoever asked may have left.
                self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + said.clock_ahead_s, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return ThreadingHTTPServer((said.host, said.port), Handler)


def announce(said: argparse.Namespace) -> None:
    node = NodeId(said.node)
    advert = Advert(node, BootId(said.boot), (Endpoint(said.host, said.port),), said.version, said.protocol)
    info = ServiceInfo(
        SERVICE_TYPE,
        instance_name(node),
        port=said.port,
        parsed_addresses=[said.host],
        properties=txt_properties(advert),
        server=f"{node}.local.",
    )
    Zeroconf(interfaces=[said.host]).register_service(info, cooperating_responders=True)


def main() -> None:
    said = options()
    if not said.deaf:
        threading.Thread(target=serve(said).serve_forever, daemon=True).start()
    if said.announce:
        announce(said)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
