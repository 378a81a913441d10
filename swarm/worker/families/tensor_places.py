"""Where in its file a tensor lies, by the header of the safetensors format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from swarm.domain.weights import FileRange

LENGTH_BYTES = 8


def read_header(file: Path) -> dict[str, Any]:
    """8 bytes of little-endian length, then JSON: tensor name → dtype, shape, offsets after the header."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        header: dict[str, Any] = json.loads(opened.read(length))
    return header


def ranges_of(names: Iterable[str], file_of: Mapping[str, Path]) -> list[FileRange]:
    """The bytes of these tensors, neighbours joined, in the order of the files."""
    by_file = groupby(sorted(names, key=lambda name: (file_of[name], name)), key=file_of.__getitem__)
    return [joined for file, tensors in by_file for joined in _joined(file, list(tensors))]


def _joined(file: Path, names: list[str]) -> list[FileRange]:
    header = read_header(file)
    with file.open("rb") as opened:
        data = LENGTH_BYTES + int.from_bytes(opened.read(LENGTH_BYTES), "little")
    size = file.stat().st_size
    ranges: list[FileRange] = []
    for begin, end in sorted(tuple(header[name]["data_offsets"]) for name in names):
        start, stop = data + begin, min(data + end, size)
        if ranges and ranges[-1].end == start:
            ranges[-1] = FileRange(file.name, ranges[-1].start, stop)
        else:
            ranges.append(FileRange(file.name, start, stop))
    return ranges
