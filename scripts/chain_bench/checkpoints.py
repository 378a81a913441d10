"""Models to measure with: the one on board, and larger ones of random weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEMO_FOLDER = Path(__file__).parents[2] / "swarm" / "demo_model"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


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
