"""Findings as text for people, as JSON for programs, and as an exit code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from swarm.doctor.finding import Finding

PROBLEM_EXIT = 1


def exit_code(findings: Iterable[Finding]) -> int:
    return PROBLEM_EXIT if any(finding.verdict == "problem" for finding in findings) else 0


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=1)


def as_text(findings: Sequence[Finding]) -> str:
    """A line a check; below a note or a problem what was seen, and what to do."""
    lines = [line for finding in findings for line in _lines(finding)]
    return "\n".join([*lines, "", _summary(findings)])


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.verdict:<8}{finding.check:<15}{finding.cause}"
    if finding.evidence:
        yield f"{'':<10}seen: {finding.evidence}"
    for line in finding.fix.splitlines():
        yield f"{'':<10}fix:  {line}"


def _summary(findings: Sequence[Finding]) -> str:
    problems = sum(finding.verdict == "problem" for finding in findings)
    if not problems:
        return f"{len(findings)} checks, no problem found."
    return f"{len(findings)} checks, {problems} {'problem' if problems == 1 else 'problems'} found."
