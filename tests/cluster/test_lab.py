"""The lab itself: each fault that it makes is there, and is there no longer once it is healed.

A busy machine makes a link look slower, never faster: only the fastest of many is held against an upper limit.
"""

import statistics
import subprocess
import sys
from typing import Literal

import pytest

from tests.lab.lan import PRESETS, Host, Lan, Shape
from tests.lab.switch import Wire

pytestmark = [pytest.mark.cluster, pytest.mark.lan(hosts=2, switch="user")]

ECHO = """
import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("", 9000))
print("up", flush=True)
while True:
    echo.sendto(*echo.recvfrom(2048))
"""
PING = """
import socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(float(sys.argv[3]))
asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for number in range(int(sys.argv[2])):
    started = time.monotonic()
    asker.sendto(str(number).encode(), (sys.argv[1], 9000))
    try:
        while asker.recv(2048) != str(number).encode():
            pass
        print((time.monotonic() - started) * 1000)
    except TimeoutError:
        print("lost")
"""
EAR = """
import socket
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(("", 9002))
print("up", flush=True)
ear.recv(2048)
"""
COUNT = """
import socket, sys, time
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    asker.sendto(str(number).encode(), (sys.argv[1], 9000))
    time.sleep(0.002)
asker.settimeout(2)
came = set()
try:
    while True:
        came.add(asker.recv(2048))
except TimeoutError:
    print(len(came))
"""
SAY = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"one way", (sys.argv[1], 9002))
"""
SINK = """
import socket
server = socket.create_server(("", 9001))
print("up", flush=True)
while True:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass
    connection.sendall(b"end")
"""
HOLD = """
import socket, sys
with socket.create_connection((sys.argv[1], 9001), 5) as connection:
    print("up", flush=True)
    connection.settimeout(3)
    try:
        connection.recv(1)
        print("closed")
    except TimeoutError:
        print("silent")
    except ConnectionError:
        print("closed")
"""
SEND = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 9001), 5) as connection:
    started = time.monotonic()
    connection.sendall(bytes(int(sys.argv[2])))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(3)
    print(time.monotonic() - started)
"""


def serve(host: Host, program: str, *arguments: str) -> subprocess.Popen[str]:
    process = host.start(sys.executable, "-c", program, *arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def round_trips_ms(source: Host, address: str, count: int = 20, timeout_s: float = 2.0) -> list[float | None]:
    """None for what was lost."""
    done = source.run(sys.executable, "-c", PING, address, str(count), str(timeout_s))
    return [None if line == "lost" else float(line) for line in done.stdout.split()]


def answers(source: Host, target: Host) -> bool:
    """Also where the kernel has to ask for the way again, which it does once a second."""
    return round_trips_ms(source, target.address, count=1, timeout_s=5.0) != [None]


def is_silent(source: Host, target: Host) -> bool:
    return round_trips_ms(source, target.address, count=1, timeout_s=0.5) == [None]


@pytest.fixture
def pair(lan: Lan) -> tuple[Lan, Host, Host]:
    for host in lan.hosts:
        serve(host, ECHO)
    return lan, lan.hosts[0], lan.hosts[1]


def test_a_plain_link_loses_nothing_and_takes_no_time(pair: tuple[Lan, Host, Host]) -> None:
    _, first, second = pair
    times = round_trips_ms(first, second.address, 100)
    assert None not in times
    assert min(filter(None, times)) < 5


def test_delay_and_jitter_are_there(pair: tuple[Lan, Host, Host]) -> None:
    lan, first, second = pair
    lan.shape_all(Shape(delay_ms=20))
    steady = [took for took in round_trips_ms(first, second.address, 40) if took]
    assert 40 <= min(steady) < 55
    lan.shape_all(Shape(jitter_ms=40))
    spread = [took for took in round_trips_ms(first, second.address, 40) if took]
    assert max(spread) - min(spread) > 20
    lan.shape(first, Shape(delay_ms=20))
    lan.shape(second, Shape())
    half = [took for took in round_trips_ms(first, second.address, 20) if took]
    assert 20 <= min(half) < 35


def test_a_tenth_lost_each_way_is_a_fifth_of_the_round_trips(pair: tuple[Lan, Host, Host]) -> None:
    lan, first, second = pair
    lan.shape_all(Shape(loss_pct=10))
    came = int(first.run(sys.executable, "-c", COUNT, second.address, "300").stdout)
    assert 0.70 < came / 300 < 0.90


def test_multicast_alone_can_be_lost(lan: Lan) -> None:
    first, second = lan.hosts
    serve(second, ECHO)
    assert None not in round_trips_ms(first, "10.77.0.255", 5)
    lan.shape(second, Shape(multicast_loss_pct=100))
    assert round_trips_ms(first, "10.77.0.255", 5, timeout_s=0.3) == [None] * 5
    assert None not in round_trips_ms(first, second.address, 5)


def test_a_rate_holds(pair: tuple[Lan, Host, Host]) -> None:
    lan, first, second = pair
    serve(second, SINK)
    lan.shape_all(Shape(rate_mbit=20))
    rates = []
    while len(rates) < 8 and max(rates, default=0) < 12:
        rates.append(20 / float(first.run(sys.executable, "-c", SEND, second.address, "2500000").stdout))
    assert 12 < max(rates) < 21


def test_a_one_way_cut_lets_the_other_way_through(pair: tuple[Lan, Host, Host]) -> None:
    lan, first, second = pair
    assert answers(first, second)
    lan.block(second, first)
    ear = serve(second, EAR)
    assert is_silent(first, second)
    first.run(sys.executable, "-c", SAY, second.address)
    assert ear.wait(5) == 0
    lan.unblock(second, first)
    assert answers(first, second)


def test_a_port_that_is_cut_is_silent_both_ways_until_it_is_healed(pair: tuple[Lan, Host, Host]) -> None:
    lan, first, second = pair
    lan.cut(second)
    assert is_silent(first, second)
    assert is_silent(second, first)
    lan.heal(second)
    assert answers(first, second)


@pytest.mark.lan(hosts=4, switch="user")
def test_two_halves_go_on_by_themselves(lan: Lan) -> None:
    for host in lan.hosts:
        serve(host, ECHO)
    one, other = lan.hosts[:2], lan.hosts[2:]
    lan.divide(one, other)
    assert is_silent(one[0], other[0])
    assert is_silent(other[1], one[1])
    assert answers(one[0], one[1])
    assert answers(other[0], other[1])
    lan.unite(one, other)
    assert answers(one[0], other[1])


@pytest.mark.parametrize("kind", ["bridge", "user"])
def test_a_host_without_power_falls_silent_where_one_that_crashes_hangs_up(kind: Literal["bridge", "user"]) -> None:
    with Lan(3, switch=kind) as lan:
        asker, off, crashed = lan.hosts
        for host in (off, crashed):
            serve(host, SINK)
        held = [serve(asker, HOLD, host.address) for host in (off, crashed)]
        lan.power_off(off)
        crashed.crash()
        assert [process.stdout.readline() for process in held if process.stdout] == ["silent\n", "closed\n"]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_as_slow_as_it_says(preset: str) -> None:
    shape = PRESETS[preset]
    with Lan(2, switch="user", preset=preset) as lan:
        first, second = lan.hosts
        serve(second, ECHO)
        times = [took for took in round_trips_ms(first, second.address, 30, timeout_s=0.5) if took]
        assert min(times) < 2 * (shape.delay_ms + shape.jitter_ms / 2) + 10
        assert statistics.median(times) > 2 * (shape.delay_ms + shape.jitter_ms / 4)


def test_bad_links_are_asked_of_the_user_switch() -> None:
    with pytest.raises(ValueError, match="switch='user'"):
        Lan(2, preset="wifi")
    with pytest.raises(ValueError, match="badwifi"):
        Lan(2, switch="user", preset="wife")
    with Lan(2) as lan, pytest.raises(RuntimeError, match="switch='user'"):
        lan.block(*lan.hosts)


def test_a_full_wire_drops_what_would_wait_too_long() -> None:
    wire = Wire()
    assert [wire.through_at(0.0, 0.06) for _ in range(3)] == [0.06, 0.12, None]
    assert wire.through_at(0.2, 0.06) == pytest.approx(0.26)
