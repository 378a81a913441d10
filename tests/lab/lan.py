"""A LAN of network namespaces that vanishes with the process that made it.

Each host is an anonymous net, pid, mount and uts namespace, held by one `sleep` whose parent's death kills it; a hub
namespace holds the switch. Nothing is made in the machine's own network namespace, nothing has a name that could
collide, and nothing is routed out: the only addresses are 10.77.0.0/24 and loopback. As root, or under `unshare -Urn`.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal

from tests.lab.host import NAMESPACES, Host, create_host
from tests.lab.switch import Shape
from tests.lab.wiring import KernelBridge, UserSwitch

__all__ = ["PRESETS", "Host", "Lan", "Shape", "why_not"]

SUBNET = "10.77.0"
PRESETS = {
    "gbit": Shape(rate_mbit=940, delay_ms=0.1),
    "100mbit": Shape(rate_mbit=94, delay_ms=0.2),
    "wifi": Shape(rate_mbit=80, delay_ms=1.5, jitter_ms=2, loss_pct=0.3, multicast_loss_pct=5),
    "badwifi": Shape(rate_mbit=8, delay_ms=15, jitter_ms=20, loss_pct=5, multicast_loss_pct=20),
}
"""One way between two hosts of this kind. A switch of Python adds some 0.1 ms, and forwards 200 Mbit/s at most."""

Half = Sequence[Host]


def why_not() -> str | None:
    """None where a LAN can be built, else the reason, for `pytest.skip`."""
    if sys.platform != "linux":
        return "needs Linux"
    missing = [tool for tool in ("ip", "unshare", "nsenter") if not shutil.which(tool)]
    if missing:
        return f"needs {', '.join(missing)} (iproute2 and util-linux)"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"cannot make namespaces: {tried.stderr.strip()} (root, or unshare -Urn)"


class Lan:
    """`hosts` machines on one switch; a context manager. `switch="user"` has links as bad as one likes."""

    def __init__(self, hosts: int = 2, switch: Literal["bridge", "user"] = "bridge", preset: str | None = None) -> None:
        if preset is not None and switch != "user":
            raise ValueError(f"the kernel's bridge has no bad links: say switch='user' for the preset {preset!r}")
        if preset is not None and preset not in PRESETS:
            raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        self._count, self._kind, self._preset = hosts, switch, preset
        self.hosts: list[Host] = []
        self._hub: Host | None = None
        self._built: KernelBridge | UserSwitch | None = None

    def __enter__(self) -> Lan:
        try:
            self._build()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for host in [*self.hosts, *([self._hub] if self._hub else [])]:
            host.remove()

    def _build(self) -> None:
        hub = self._hub = create_host("hub", "")
        switch = self._built = KernelBridge(hub) if self._kind == "bridge" else UserSwitch(hub)
        for number in range(1, self._count + 1):
            self._plug_in(hub, number)
        switch.start([f"p{number}" for number in range(1, self._count + 1)])
        for host in self.hosts:
            host.wait_until_connected()
        if self._preset is not None:
            self.shape_all(PRESETS[self._preset])

    def _plug_in(self, hub: Host, number: int) -> None:
        host = create_host(f"host{number}", f"{SUBNET}.{number}")
        self.hosts.append(host)
        hub.network("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        hub.network("ip", "link", "set", f"p{number}", "up")
        self._switch.prepare(host)
        host.network("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.network("ip", "link", "set", "lo", "up")
        host.set_link(up=True)

    # -- faults -------------------------------------------------------------------------------------------------------

    def cut(self, host: Host) -> None:
        """At the switch: the host sees its link up, and silence."""
        self._switch.cut(self._port(host))

    def heal(self, host: Host) -> None:
        self._switch.heal(self._port(host))

    def power_off(self, host: Host) -> None:
        """The plug is pulled: silence first, as no socket says goodbye, then all processes die. It is off for good."""
        self.cut(host)
        host.crash()

    def block(self, source: Host, target: Host) -> None:
        """One way: what `source` sends does not reach `target` any more. On the user switch only."""
        self._user_switch.block(self._port(source), self._port(target), on=True)

    def unblock(self, source: Host, target: Host) -> None:
        self._user_switch.block(self._port(source), self._port(target), on=False)

    def divide(self, one: Half, other: Half) -> None:
        """Two networks, each whole in itself. On the user switch only."""
        for source, target in self._across(one, other):
            self.block(source, target)

    def unite(self, one: Half, other: Half) -> None:
        for source, target in self._across(one, other):
            self.unblock(source, target)

    def shape(self, host: Host, shape: Shape) -> None:
        """The link of one host, in place of what it was. On the user switch only.

        A frame crosses two links and pays half of each: with 10 % loss on both, a tenth is lost; on one, a twentieth.
        """
        self._user_switch.shape(self._port(host), shape)

    def shape_all(self, shape: Shape) -> None:
        for host in self.hosts:
            self.shape(host, shape)

    def _across(self, one: Half, other: Half) -> list[tuple[Host, Host]]:
        return [*itertools.product(one, other), *itertools.product(other, one)]

    def _port(self, host: Host) -> str:
        return f"p{self.hosts.index(host) + 1}"

    @property
    def _switch(self) -> KernelBridge | UserSwitch:
        if self._built is None:
            raise RuntimeError("the LAN is used outside its `with`")
        return self._built

    @property
    def _user_switch(self) -> UserSwitch:
        if not isinstance(self._switch, UserSwitch):
            raise RuntimeError("the kernel's bridge cannot do this: Lan(switch='user')")
        return self._switch
