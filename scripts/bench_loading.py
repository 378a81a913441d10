"""What loading a part of a checkpoint reads from the disk, and what memory it takes at its peak (Linux).

    python scripts/bench_loading.py [--layers 8] [--hidden 1024]

A random Llama in several files. Each row is a process of its own that has loaded a tiny model before, so that nothing
is imported within the measurement; the files are dropped from the page cache first. What is read is what the kernel
fetched for that process, its read-ahead included. Weights in the format of the files are not copied: they are pages of
the files, which the kernel takes back and reads again when memory is short.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from chain_bench.checkpoints import make_llama
from chain_bench.weights_held import bytes_of

from swarm.domain.nodes import BlockSpan
from swarm.worker.families.checkpoint import Checkpoint, open_checkpoint
from swarm.worker.families.model import load_model
from swarm.worker.families.tensor_names import layer_of

MIB = 2**20
SHARD = "100MB"
SAMPLE_S = 0.001


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    span: BlockSpan | None
    quantization: Any = "none"
    dtype: torch.dtype = torch.float32


def cases(layers: int) -> list[Case]:
    every, part = BlockSpan(0, layers), BlockSpan(layers // 2, layers // 2 + layers // 4)
    return [
        Case(f"all {layers} blocks", every),
        Case(f"blocks {part}", part),
        Case("no block", None),
        Case(f"all {layers} blocks, int8", every, "int8"),
        Case(f"all {layers} blocks, int4", every, "int4", torch.bfloat16),
        Case(f"blocks {part}, int8", part, "int8"),
    ]


class Peak:
    """Of this process's memory above what it was, in bytes, while the context is open."""

    def __enter__(self) -> Peak:
        self._start = memory()
        self._seen = [self._start]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()
        self._seen.append(memory())

    @property
    def own(self) -> int:
        return max(own for own, _ in self._seen) - self._start[0]

    @property
    def with_files(self) -> int:
        """Pages of the weight files included."""
        return max(own + files for own, files in self._seen) - sum(self._start)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._seen.append(memory())


def memory() -> tuple[int, int]:
    """What this process holds for itself, and of pages of files, in bytes."""
    status = Path("/proc/self/status").read_text()
    own, files = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return own, files


def read_so_far() -> int:
    found = re.search(r"^read_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def measure(folder: Path, case: Case) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as small:  # so that nothing is imported or allocated for the first time
        tiny = open_checkpoint(str(make_llama(Path(small), layers=2, hidden=64)), "tiny").quantised(case.quantization)
        load_model(tiny, case.span and BlockSpan(0, 1), "cpu", case.dtype)
    checkpoint = open_checkpoint(str(folder), "bench").quantised(case.quantization)
    forget(folder)
    read = read_so_far()
    with Peak() as peak:
        model = load_model(checkpoint, case.span, "cpu", case.dtype)
    held = bytes_of([model.causal, *(model.blocks.layers.values() if model.blocks else ())])
    return {
        "stored": stored_bytes(checkpoint, case.span),
        "read": read_so_far() - read,
        "held": held,
        "own": peak.own,
        "with_files": peak.with_files,
    }


def stored_bytes(checkpoint: Checkpoint, span: BlockSpan | None) -> int:
    wanted = range(span.start, span.end) if span else range(0)
    return sum(
        size for name, size in checkpoint.bytes_of.items() if (layer := layer_of(name)) is None or layer in wanted
    )


def forget(folder: Path) -> None:
    """Takes the weight files out of the page cache."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if arguments.measure:
        folder, at = arguments.measure
        print(json.dumps(measure(Path(folder), cases(arguments.layers)[int(at)])))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_llama(Path(folder), layers=arguments.layers, hidden=arguments.hidden, max_shard_size=SHARD)
        files = sorted(Path(folder).glob("*.safetensors"))
        size = sum(file.stat().st_size for file in files)
        print(f"A checkpoint of {size / MIB:.0f} MiB in {len(files)} files, float32.\n")
        print("| loaded | its tensors as stored | read | held | peak of own memory | with the files' pages |")
        print("| --- | --- | --- | --- | --- | --- |")
        for at, case in enumerate(cases(arguments.layers)):
            command = [sys.executable, __file__, "--layers", str(arguments.layers), "--measure", folder, str(at)]
            found = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            columns = (f"{found[name] / MIB:.0f} MiB" for name in ("stored", "read", "held", "own", "with_files"))
            print(f"| {case.name} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
