"""The program as a person starts it."""

from __future__ import annotations

import subprocess
import sys

HELP_AND_WHAT_IT_LOADED = """
import sys
from swarm.cli import main
main(["--help"])
sys.stderr.write(" ".join({"pydantic", "aiohttp", "zeroconf", "psutil", "cryptography"} & {*sys.modules}))
"""


def test_help_loads_nothing_heavy() -> None:
    """What would make it slow, rather than a time that depends on the machine."""
    done = subprocess.run([sys.executable, "-c", HELP_AND_WHAT_IT_LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: local-swarm [OPTIONS]")
    assert done.stderr == ""
