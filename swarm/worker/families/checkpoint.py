"""A checkpoint on disk: its config, its tensors by name, and a digest that names it on every machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

from swarm.domain.ids import Quantization
from swarm.domain.nodes import ModelInfo
from swarm.domain.weights import FileRange
from swarm.worker.failures import LoadFailure
from swarm.worker.families.quantization import LayerMakeup, makeup_of
from swarm.worker.families.tensor_names import HEAD, layer_of, text_names
from swarm.worker.families.tensor_places import ranges_of, read_header

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
    name_of: dict[str, str]
    """What the language model calls each of its tensors, by the name in the files."""
    file_of: dict[str, Path]
    """Weight file of each of them."""
    bytes_of: dict[str, int]
    """Size of each of them as stored."""
    quantization: Quantization = "none"
    """Of its layers in memory."""
    makeup: LayerMakeup | None = None
    """Of these layers, where they are quantised."""
    fetch: Fetch | None = None
    """Of a checkpoint that is fetched as it is read; its files have holes until then."""

    def quantised(self, kind: Quantization) -> Checkpoint:
        """The same, to be held in fewer bits: by its digest another model, so that no route mixes the two.

        Raises `LoadFailure` where its layers cannot be."""
        if kind == "none":
            return self
        info = replace(self.info, digest=f"{self.info.digest}-{kind}")
        return replace(self, quantization=kind, makeup=makeup_of(self.config), info=info)

    def layer_bytes(self, dtype: torch.dtype) -> int:
        """Mean size of a decoder layer in memory, where what is not quantised has this format."""
        if self.makeup:
            return self.makeup.layer_bytes(self.quantization, dtype)
        stored = sum(size for name, size in self.bytes_of.items() if layer_of(name) is not None)
        return stored * dtype.itemsize // (self.stored_dtype().itemsize * self.info.layers)

    def ends_bytes(self, dtype: torch.dtype) -> int:
        """Size in memory of what stands around the layers: embedding, last norm, head."""
        stored = sum(size for name, size in self.bytes_of.items() if layer_of(name) is None)
        return stored * dtype.itemsize // self.stored_dtype().itemsize

    def total_bytes(self, dtype: torch.dtype) -> int:
        return self.info.layers * self.layer_bytes(dtype) + self.ends_bytes(dtype)

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
            yield {self.name_of[name]: opened[self.file_of[name]].get_slice(name) for name in wanted}


def open_checkpoint(
    path: str, model_id: str, digest: str = "", fetch: Fetch | None = None, hub_cache: str = ""
) -> Checkpoint:
    """A folder, or a name on the Hugging Face hub. Raises `LoadFailure` with what to do about it.

    `digest`: of a folder with holes, from which none can be made; then `fetch` fills them."""
    folder = Path(path) if Path(path).is_dir() else _from_hub(path, hub_cache)
    if not (folder / "config.json").is_file():
        raise LoadFailure(f"{folder} has no config.json; name the folder of a Hugging Face checkpoint")
    try:
        described = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise LoadFailure(f"The config of {model_id} is not understood: {_first_line(error)}") from error
    config = described.get_text_config()
    _refuse(config, getattr(described, "quantization_config", None), model_id)
    files = _weight_files(folder)
    file_of, bytes_of = _tensors(files)
    layers = config.num_hidden_layers
    # Layers beyond those of the config guess several tokens ahead (DeepSeek-V3, GLM-4.5); nothing here uses them.
    name_of = {name: own for name, own in text_names(file_of).items() if (layer_of(name) or 0) < layers}
    held = {layer for name in name_of if (layer := layer_of(name)) is not None}
    if len(held) < layers:
        raise LoadFailure(
            f"{model_id} has {layers} layers by its config and {len(held)} in its files; "
            "it is not a complete decoder-only checkpoint"
        )
    if described is not config and not any(name.startswith(HEAD) for name in name_of.values()):
        config.tie_word_embeddings = True  # the settings around the text model's may say so, its own not
    context = int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)
    created = int(max(file.stat().st_mtime for file in files))
    info = ModelInfo(model_id, digest or _digest(folder, files), layers, context, created)
    text_files = {name: file_of[name] for name in name_of}
    text_bytes = {name: bytes_of[name] for name in name_of}
    return Checkpoint(folder, config, info, name_of, text_files, text_bytes, fetch=fetch if digest else None)


def _refuse(config: Any, stored_as: Any, model_id: str) -> None:
    """Raises `LoadFailure` for what can be told from a config before any weight is looked at."""
    if getattr(config, "is_encoder_decoder", False) or MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None) is None:
        raise LoadFailure(
            f"{model_id} is of the type {config.model_type}, which is not a decoder-only language model "
            "that transformers knows; name another model"
        )
    if stored_as:
        kind = stored_as.get("quant_method") if isinstance(stored_as, dict) else stored_as.quant_method
        raise LoadFailure(
            f"The weights of {model_id} are stored quantised ({kind}); name the checkpoint that it was made from "
            "and set --quantization, which quantises while it loads"
        )


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
