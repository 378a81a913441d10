"""Does the libp2p daemon that carries the chain run on this machine?"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from swarm.doctor.finding import Finding, ok, problem

RUN_S = 3.0
REINSTALL = ".venv/bin/pip install --force-reinstall --no-deps -r requirements/no-deps.txt"


@dataclass(frozen=True, slots=True)
class ChainFacts:
    program: Path | None
    """None where hivemind is not installed or has no such file."""
    problem: str = ""
    """Why it does not run; empty where it does."""


def read_chain() -> ChainFacts:
    """Runs the program for its help text. Finds hivemind without importing it, which would change this process."""
    spec = find_spec("hivemind")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    program = next((path for folder in folders if (path := Path(folder, "hivemind_cli", "p2pd")).is_file()), None)
    return ChainFacts(program, _why_it_does_not_run(program) if program else "")


def _why_it_does_not_run(program: Path) -> str:
    if not os.access(program, os.X_OK):
        return "it is not executable"
    try:
        done = subprocess.run([program, "-help"], capture_output=True, stdin=subprocess.DEVNULL, timeout=RUN_S)
    except subprocess.TimeoutExpired:
        return f"it did not end within {RUN_S:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    # Go's flag package ends with 0, in older releases with 2, after the help text.
    return "" if done.returncode in (0, 2) else f"it ended with code {done.returncode}"


def judge_chain(facts: ChainFacts) -> Finding:
    if facts.program is None:
        seen = "no file hivemind_cli/p2pd beside hivemind"
        return problem("chain", "hivemind's p2pd is missing: blocks can be neither served nor used", seen, REINSTALL)
    if facts.problem:
        fix = f"chmod +x {facts.program}" if "executable" in facts.problem else REINSTALL
        return problem(
            "chain",
            "hivemind's p2pd does not run here: blocks can be neither served nor used",
            f"{facts.program}: {facts.problem}",
            fix,
        )
    return ok("chain", "hivemind's p2pd runs")
