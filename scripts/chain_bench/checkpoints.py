"""Models to measure with: the one on board, and larger ones of random weights."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEMO_FOLDER = Path(__file__).parents[2] / "swarm" / "demo_model"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class Model:
    what: str
    folder: Path
    layers: int
    hidden: int

    @property
    def option(self) -> str:
        """As the daemon's `--model`."""
        return "demo" if self.folder == DEMO_FOLDER else str(self.folder)


DEMO = Model("demo model", DEMO_FOLDER, 6, 128)


def add_model_arguments(parser: argparse.ArgumentParser, default: Sequence[str] = ("demo", "large")) -> None:
    parser.add_argument("--models", nargs="+", choices=("demo", "large"), default=list(default))
    parser.add_argument("--layers", type=int, default=6, help="of the large model")
    parser.add_argument("--hidden", type=int, default=896, help="of the large model")


def chosen_models(arguments: argparse.Namespace, folder: Path) -> Iterator[Model]:
    """Those of the arguments; the large one is made in `folder` when its turn comes."""
    layers, hidden = arguments.layers, arguments.hidden
    for name in arguments.models:
        if name == "demo":
            yield DEMO
        else:
            path = make_llama(folder / "large", layers=layers, hidden=hidden)
            yield Model(f"random Llama, {layers} layers of {hidden}", path, layers, hidden)


def make_llama(
    folder: Path, *, layers: int, hidden: int, heads: int = 8, context_tokens: int = 2048, max_shard_size: str = "5GB"
) -> Path:
    """A Llama of random weights with the demo model's tokenizer; the same weights for the same sizes."""
    import torch
    from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

    demo: Any = AutoConfig.from_pretrained(DEMO_FOLDER)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=demo.vocab_size,
        hidden_size=hidden,
        intermediate_size=hidden * 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=context_tokens,
        bos_token_id=demo.bos_token_id,
        eos_token_id=None,
        pad_token_id=demo.pad_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size=max_shard_size)
    _copy(TOKENIZER_FILES, folder)
    return folder


def _copy(names: Sequence[str], folder: Path) -> None:
    for name in names:
        if (DEMO_FOLDER / name).exists():
            shutil.copy(DEMO_FOLDER / name, folder / name)
