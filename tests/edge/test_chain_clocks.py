"""Nodes whose clocks differ by more than a record lives form a chain all the same."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from swarm.engine.model_choice import demo_folder

NODE = """
import json, sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[1])
from pathlib import Path
from swarm.domain.nodes import BlockSpan
from swarm.wire.worker_messages import LoadModel
from swarm.worker.chain_door import ChainDoor
from swarm.worker.compute.thread import Compute
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import load_model
import torch

checkpoint = open_checkpoint(sys.argv[2], "demo")
span = BlockSpan(int(sys.argv[4]), int(sys.argv[5]))
def tell(coverage):
    print(json.dumps([str(span) for span in coverage.missing]), flush=True)

door = ChainDoor(Compute(), tell, lambda: None)
command = LoadModel(sys.argv[2], "demo", "auto", "chain", 1, 1, "127.0.0.1", 0, sys.argv[3], "node")
door.open(command, checkpoint.info, 3, movable=False)
door.serve(load_model(checkpoint, span, "cpu", torch.float32).blocks, span, 2**28, 256)
print(json.dumps({"addresses": door.addresses}), flush=True)
for line in sys.stdin:
    door.introduce([line.strip()])
door.close()
"""


class Node:
    def __init__(self, folder: Path, start: int, end: int, ahead_s: float) -> None:
        arguments = (str(ahead_s), str(demo_folder()), str(folder / f"{start}.key"), str(start), str(end))
        self.process = subprocess.Popen(
            [sys.executable, "-c", NODE, *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.said = self._lines()
        self.address = next(line["addresses"][0] for line in self.said if isinstance(line, dict))

    def _lines(self) -> Iterator[object]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def introduce(self, address: str) -> None:
        assert self.process.stdin is not None
        print(address, file=self.process.stdin, flush=True)

    def wait_until_whole(self) -> None:
        assert any(line == [] for line in self.said)

    def close(self) -> None:
        _, rest = self.process.communicate(timeout=30)
        assert rest is not None
        assert self.process.returncode == 0


@pytest.mark.parametrize("ahead_s", [90.0])
def test_a_clock_that_is_far_ahead_keeps_no_chain_from_forming(tmp_path: Path, ahead_s: float) -> None:
    with ExitStack() as held:
        nodes = [Node(tmp_path, 0, 3, 0.0), Node(tmp_path, 3, 6, ahead_s)]
        for node in nodes:
            held.callback(node.close)
            held.callback(lambda process: process.poll() is None, node.process)
        nodes[0].introduce(nodes[1].address)
        nodes[1].introduce(nodes[0].address)
        for node in nodes:
            node.wait_until_whole()
