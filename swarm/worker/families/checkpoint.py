"""A checkpoint on disk: its config, its tensors by name, and a digest that names it on every machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from swarm.domain.nodes import ModelInfo
from swarm.domain.weights import FileRange
from swarm.worker.failures import LoadFailure
from swarm.worker.families.tensor_places import ranges_of, read_header

LAYER_OF_TENSOR = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
"""Finds the decoder layer in a tensor's name: `model.layers.3.mlp…`, `transformer.h.3.attn…`."""
SAMPLE_BYTES = 65536
SAMPLES = 16
"""Of each weight file the header and this many evenly spaced samples go into the digest: whole files of many GiB would
take minutes to hash, and two checkpoints of one shape differ nearly everywhere."""
Fetch = Callable[[Sequence[FileRange]], None]
"""Blocks until these bytes are in their files; raises `LoadFailure`."""
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "tokenizer*"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint; nothing of its weights is in memory yet."""

    folder: Path
    config: Any
    info: ModelInfo
    file_of: dict[str, Path]
    """Weight file of each tensor."""
    bytes_of: dict[str, int]
    """Size of each tensor as stored."""
    fetch: Fetch | None = None
    """Of a checkpoint that is fetched as it is read; its files have holes until then."""

    def layer_bytes(self) -> int:
        """Mean size of a decoder layer as stored."""
        return sum(size for name, size in self.bytes_of.items() if layer_of(name) is not None) // self.info.layers

    def ends_bytes(self) -> int:
        """Size of what stands around the layers: embedding, last norm, head."""
        return sum(size for name, size in self.bytes_of.items() if layer_of(name) is None)

    def stored_dtype(self) -> torch.dtype:
        named = getattr(self.config, "dtype", None) or getattr(self.config, "torch_dtype", None)
        return named if isinstance(named, torch.dtype) else getattr(torch, str(named or "float32"))

    @contextlib.contextmanager
    def slices(self, layers: Collection[int]) -> Iterator[dict[str, Any]]:
        """The tensors of these layers and of the ends, as safetensors' slices: each is read when it is indexed."""
        wanted = [name for name in self.file_of if (layer := layer_of(name)) is None or layer in layers]
        if self.fetch is not None:
            self.fetch(ranges_of(wanted, self.file_of))
        with contextlib.ExitStack() as held:
            opened = {
                file: held.enter_context(safe_open(file, framework="pt"))
                for file in sorted({self.file_of[name] for name in wanted})
            }
            yield {name: opened[self.file_of[name]].get_slice(name) for name in wanted}


def layer_of(tensor_name: str) -> int | None:
    """The index of the decoder layer that a tensor belongs to; None for embedding, norms and head."""
    found = LAYER_OF_TENSOR.search(tensor_name)
    return int(found[1]) if found else None


def open_checkpoint(
    path: str, model_id: str, digest: str = "", fetch: Fetch | None = None, hub_cache: str = ""
) -> Checkpoint:
    """A folder, or a name on the Hugging Face hub. Raises `LoadFailure` with what to do about it.

    `digest`: of a folder with holes, from which none can be made; then `fetch` fills them."""
    folder = Path(path) if Path(path).is_dir() else _from_hub(path, hub_cache)
    if not (folder / "config.json").is_file():
        raise LoadFailure(f"{folder} has no config.json; name the folder of a Hugging Face checkpoint")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    except (OSError, ValueError, KeyError) as error:
        raise LoadFailure(f"The config of {model_id} is not understood: {_first_line(error)}") from error
    files = _weight_files(folder)
    file_of, bytes_of = _tensors(files)
    layers = 1 + max((layer for name in file_of if (layer := layer_of(name)) is not None), default=-1)
    if layers < 1 or layers != config.num_hidden_layers:
        raise LoadFailure(
            f"{model_id} has {config.num_hidden_layers} layers by its config and {layers} in its files; "
            "it is not a complete decoder-only checkpoint"
        )
    context = int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)
    created = int(max(file.stat().st_mtime for file in files))
    info = ModelInfo(model_id, digest or _digest(folder, files), layers, context, created)
    return Checkpoint(folder, config, info, file_of, bytes_of, fetch if digest else None)


def _from_hub(name: str, cache: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, cache_dir=cache or None))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise LoadFailure(
            f"{name!r} is neither a folder here nor a model that the hub gave us ({_first_line(error)}); "
            "name a folder with --model, or check the name and the connection",
            permanent=isinstance(error, RepositoryNotFoundError | ValueError),
        ) from error


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise LoadFailure(f"{folder} lacks {', '.join(missing)}; the download is not complete")
        return [folder / name for name in names]
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise LoadFailure(f"{folder} has no *.safetensors; convert the checkpoint to safetensors first")
    return files


def _tensors(files: list[Path]) -> tuple[dict[str, Path], dict[str, int]]:
    file_of: dict[str, Path] = {}
    bytes_of: dict[str, int] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt"):
                pass  # checks that the file is whole: a header may outlive a torn download
        except (SafetensorError, OSError) as error:
            raise LoadFailure(f"{file} cannot be read ({_first_line(error)}); fetch it again") from error
        for name, described in read_header(file).items():
            if name != "__metadata__":
                begin, end = described["data_offsets"]
                file_of[name], bytes_of[name] = file, end - begin
    return file_of, bytes_of


def _digest(folder: Path, files: list[Path]) -> str:
    digest = hashlib.sha256(json.dumps(_lasting(folder), sort_keys=True).encode())
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        for sample in _samples(file):
            digest.update(sample)
    return digest.hexdigest()[:16]


def _lasting(folder: Path) -> dict[str, Any]:
    """The config without what a mere re-save changes."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return {key: value for key, value in config.items() if key not in ("transformers_version", "_name_or_path")}


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        for index in range(SAMPLES):
            opened.seek(size * index // SAMPLES)
            yield opened.read(SAMPLE_BYTES)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
