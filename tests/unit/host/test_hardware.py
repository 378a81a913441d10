"""The machine in one line, its name, its clocks and ids."""

from __future__ import annotations

import pytest

from swarm.host.clock import SystemClock, new_boot_id, new_id
from swarm.host.hardware import SUMMARY_LIMIT, Hardware, machine_name, read_hardware

GIBIBYTE = 2**30


@pytest.mark.parametrize(
    ("cores", "memory", "summary"),
    [
        (2, 24 * GIBIBYTE, "Linux x86_64, 2 cores, 24 GiB"),
        (1, int(0.9 * GIBIBYTE), "Linux x86_64, 1 core, 0.9 GiB"),
        (64, 251.6 * GIBIBYTE, "Linux x86_64, 64 cores, 252 GiB"),
    ],
)
def test_the_summary_is_for_people(cores: int, memory: int, summary: str) -> None:
    assert Hardware("Linux", "x86_64", cores, memory, 0).summary() == summary


def test_the_summary_fits_a_record() -> None:
    assert len(Hardware("x" * 300, "y", 1, 1, 1).summary()) == SUMMARY_LIMIT


def test_this_machine_has_something() -> None:
    hardware = read_hardware()
    assert hardware.cores >= 1
    assert 0 < hardware.free_memory_bytes <= hardware.memory_bytes


def test_the_configured_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "studio.local")
    assert machine_name("big box") == "big box"
    assert machine_name() == "studio"


def test_a_machine_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert machine_name() == "unnamed"


async def test_the_clock_goes_forward() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert clock.now() >= before
    assert clock.wall() > 1_700_000_000


def test_ids_are_hex_and_new_each_time() -> None:
    assert len(bytes.fromhex(new_id())) == 16
    assert len(bytes.fromhex(new_boot_id())) == 8
    assert len({new_id() for _ in range(100)}) == 100
