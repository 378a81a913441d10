"""Trouble that comes back every few seconds is logged when it changes."""

import logging

import pytest

from swarm.worker.chain.trouble import REASON_LIMIT, Trouble


def test_trouble_is_told_once_and_again_when_it_changes_or_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trouble = Trouble(logging.getLogger("swarm"), "it failed", "it works again")
    trouble.passed()
    for _ in range(3):
        trouble.met(ConnectionError("nobody there"))
    trouble.met(TimeoutError("x" * 10_000))
    for _ in range(2):
        trouble.passed()
    trouble.met(TimeoutError())
    problems = [getattr(record, "fields", {}).get("problem") for record in caplog.records]
    assert [record.message for record in caplog.records] == ["it failed", "it failed", "it works again", "it failed"]
    assert problems[0] == "ConnectionError: nobody there"
    assert len(problems[1]) == REASON_LIMIT
    assert all(record.exc_info is None for record in caplog.records)
