"""Fuzzes every route of a running daemon with schemathesis, by the description that the daemon itself serves.

    python main.py --model demo --host 127.0.0.1 --no-mdns --port 17700 &
    python scripts/fuzz_api.py --url http://127.0.0.1:17700 --examples 300

Exit code 1 where a reply has a 5xx status, a status, type or shape that is not described, or does not come in time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
ENDLESS = "/v1/federation/events"
PATIENCE_S = 60


def command(url: str, examples: int, seconds: float, seed: int) -> Sequence[str]:
    return (
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{url}/openapi.json",
        f"--checks={','.join(CHECKS)}",
        f"--exclude-path={ENDLESS}",
        "--mode=all",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={examples}",
        f"--request-timeout={seconds:g}",
        f"--seed={seed}",
        "--continue-on-failure",
        "--workers=2",
    )


def wait_until_settled(url: str) -> None:
    """A node that still reads its own weights says so with 503, and is right."""
    for _ in range(PATIENCE_S):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{url}/v1/models") as reply:
                model = json.load(reply)["data"][0]["id"]
            with urllib.request.urlopen(f"{url}/v1/weights/offer?model={urllib.parse.quote(model)}"):
                return
        time.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:17615")
    parser.add_argument("--examples", type=int, default=100, help="requests a route and mode")
    parser.add_argument("--seconds", type=float, default=60.0, help="within which every reply must be whole")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wait_until_settled(options.url)
    return subprocess.run(command(options.url, options.examples, options.seconds, options.seed), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
