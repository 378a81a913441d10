"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]
"""`note`: nothing is broken, but it explains what somebody may wonder about."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    """Which check; stable, for programs."""
    verdict: Verdict
    cause: str
    evidence: str = ""
    """What was seen, as it was seen."""
    fix: str = ""
    """The command or the setting that changes it."""


def ok(check: str, cause: str, evidence: str = "") -> Finding:
    return Finding(check, "ok", cause, evidence)


def note(check: str, cause: str, evidence: str = "", fix: str = "") -> Finding:
    return Finding(check, "note", cause, evidence, fix)


def problem(check: str, cause: str, evidence: str, fix: str) -> Finding:
    return Finding(check, "problem", cause, evidence, fix)
