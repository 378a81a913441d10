"""The commands that mend things, by system. Pure."""

from __future__ import annotations

from typing import Literal, assert_never

from swarm.doctor.system import System

Protocol = Literal["tcp", "udp"]
MDNS_PORT = 5353
WSL_MIRRORED = (
    "in %UserProfile%\\.wslconfig of Windows write [wsl2] and networkingMode=mirrored, then: wsl --shutdown\n"
    "or run the daemon on Windows' side of the network with --peer HOST:PORT of the other machines"
)
MAC_LOCAL_NETWORK = "System Settings > Privacy & Security > Local Network: switch your terminal application on"
MAC_FIREWALL = "System Settings > Network > Firewall > Options: allow incoming connections for python"


def let_in(system: System, protocol: Protocol, port: int) -> str:
    """What makes this machine's firewall let packets to `port` come in."""
    if system.kind == "macos":
        return MAC_FIREWALL
    match system.firewall:
        case "ufw":
            return f"sudo ufw allow {port}/{protocol}"
        case "firewalld":
            return _firewalld(protocol, port)
        case "nft":
            # Names of tables are the owner's; `inet filter` is that of nearly every distribution.
            return f"sudo nft insert rule inet filter input {protocol} dport {port} accept"
        case "iptables":
            return f"sudo iptables -I INPUT -p {protocol} --dport {port} -j ACCEPT"
        case _:
            assert_never(system.firewall)


def let_out(system: System, protocol: Protocol, port: int) -> str:
    """What makes this machine's firewall let packets to `port` go out."""
    if system.kind == "macos":
        return MAC_LOCAL_NETWORK
    match system.firewall:
        case "ufw":
            return f"sudo ufw allow out {port}/{protocol}"
        case "firewalld" | "nft":
            return (
                f"sudo nft insert rule inet filter output {protocol} dport {port} accept\n"
                "sudo nft list ruleset   # where the chain that drops it has another name"
            )
        case "iptables":
            return f"sudo iptables -I OUTPUT -p {protocol} --dport {port} -j ACCEPT"
        case _:
            assert_never(system.firewall)


def _firewalld(protocol: Protocol, port: int) -> str:
    what = "--add-service=mdns" if (protocol, port) == ("udp", MDNS_PORT) else f"--add-port={port}/{protocol}"
    return f"sudo firewall-cmd --permanent {what} && sudo firewall-cmd --reload"


def set_clock(system: System) -> str:
    match system.kind:
        case "macos":
            return "System Settings > General > Date & Time: set the time automatically"
        case "wsl":
            return "sudo hwclock --hctosys   # WSL's clock stops while Windows sleeps"
        case "linux":
            return "sudo timedatectl set-ntp true   # or, where chrony runs: sudo chronyc makestep"
        case _:
            assert_never(system.kind)
