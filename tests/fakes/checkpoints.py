"""Small checkpoints of random weights, made on disk; the tokenizer is the demo model's."""

from __future__ import annotations

import shutil
from pathlib import Path

DEMO = Path(__file__).parents[2] / "swarm" / "demo_model"


def make_small_llama(folder: Path, layers: int) -> Path:
    """3 MiB a layer, float32, in one file."""
    import torch
    from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

    demo = AutoConfig.from_pretrained(DEMO)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=demo.vocab_size,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=demo.bos_token_id,
        eos_token_id=None,
        pad_token_id=demo.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO / name, folder)
    return folder
