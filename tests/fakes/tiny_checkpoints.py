"""Checkpoints of random weights, a few hundred KiB each, of many families, written as transformers writes them."""

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging

LAYERS = 4
VOCABULARY = 96
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
WINDOW = {"sliding_window": 8}
TURNS = {"layer_types": ["sliding_attention", "full_attention"] * 2, **WINDOW}
ONE_IN_FOUR = {"layer_types": ["sliding_attention"] * 3 + ["full_attention"], **WINDOW}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1}
DENSE_FIRST = {"first_k_dense_replace": 1}
DENSE_FIRST_BY_TYPE = {"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}
LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 12,
}
GROUPS = {"n_group": 2, "topk_group": 1}
SCALED_ROTARY = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MULTIPLIERS = {"embedding_multiplier": 2.0, "logits_scaling": 2.0, "residual_multiplier": 0.5}
LINEAR_TURNS = {
    "layer_types": ["linear_attention", "full_attention"] * 2,
    "head_dim": 16,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
GPT2 = {"n_embd": 64, "n_layer": LAYERS, "n_head": 4, "n_positions": 256}

CUT: dict[str, dict[str, Any]] = {
    "afmoe": {**EXPERTS, "num_shared_experts": 1, "num_dense_layers": 1, "head_dim": 16, **TURNS},
    "apertus": {},
    "arcee": {},
    "biogpt": {},
    "bitnet": {},
    "bloom": {"n_layer": LAYERS, "n_head": 4},
    "codegen": {"rotary_dim": 8},
    "cohere": {"logit_scale": 1.0},
    "cohere2": {"logit_scale": 1.0, **ONE_IN_FOUR},
    "deepseek_v2": {**ROUTED, **DENSE_FIRST, **GROUPS, **LATENT},
    "deepseek_v3": {**ROUTED, **DENSE_FIRST, **GROUPS, **LATENT},
    "diffllama": {},
    "dots1": {**ROUTED, **DENSE_FIRST, "head_dim": 16, **TURNS},
    "ernie4_5": {},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 1},
    "exaone4": ONE_IN_FOUR,
    "exaone_moe": {**EXPERTS, "num_shared_experts": 1, "head_dim": 16, **DENSE_FIRST_BY_TYPE, **ONE_IN_FOUR},
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "flex_olmo": {"num_experts": 4, "num_experts_per_tok": 2},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32, "query_pre_attn_scalar": 32, **WINDOW},
    "gemma3_text": {"head_dim": 32, **TURNS},
    "gemma4_unified_text": {"head_dim": 16, "global_head_dim": 32, **TURNS},
    "glm": {"head_dim": 16, "partial_rotary_factor": 0.5, "attention_bias": True},
    "glm4": {"head_dim": 16, "partial_rotary_factor": 0.5},
    "glm4_moe": {**ROUTED, **DENSE_FIRST, "head_dim": 16, "use_qk_norm": True},
    "glm4_moe_lite": {**ROUTED, **DENSE_FIRST_BY_TYPE, **LATENT},
    "gpt2": GPT2,
    "gpt_bigcode": GPT2,
    "gpt_neo": {
        "num_layers": LAYERS,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 8,
    },
    "gpt_neox": {"rotary_pct": 0.25},
    "gpt_oss": {"head_dim": 16, **LOCAL_EXPERTS, **TURNS},
    "gptj": {"rotary_dim": 8},
    "granite": {**MULTIPLIERS, "attention_multiplier": 0.3},
    "granitemoe": {**LOCAL_EXPERTS, **MULTIPLIERS},
    "helium": {"head_dim": 16},
    "hunyuan_v1_dense": {"head_dim": 16},
    "jetmoe": {"num_local_experts": 4, "kv_channels": 16},
    "laguna": {**EXPERTS, "head_dim": 16},
    "llama": {"attention_bias": True, "rope_parameters": SCALED_ROTARY},
    "llama4_text": {
        "head_dim": 16,
        "num_local_experts": 4,
        "intermediate_size_mlp": 96,
        "attention_chunk_size": 8,
        "no_rope_layers": [1, 1, 1, 0],
        "interleave_moe_layer_step": 2,
    },
    "mimo_v2_flash": {**ROUTED, "head_dim": 16, "v_head_dim": 12},
    "minicpm3": LATENT,
    "minimax_m2": {**LOCAL_EXPERTS, "head_dim": 16, "rotary_dim": 8},
    "ministral": {"head_dim": 16, **TURNS},
    "mistral": {"head_dim": 24, **WINDOW},
    "mixtral": {**LOCAL_EXPERTS, **WINDOW},
    "nemotron": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": TURNS,
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": {"partial_rotary_factor": 0.5, **WINDOW},
    "phimoe": {"num_local_experts": 4, **WINDOW},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2, "tie_word_embeddings": True, **WINDOW},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 48},
    "qwen3": {"head_dim": 32},
    "qwen3_moe": {**EXPERTS, "head_dim": 16, "mlp_only_layers": [0]},
    "seed_oss": {},
    "smollm3": {"no_rope_layers": [1, 0, 1, 0], "use_sliding_window": True, **TURNS},
    "stablelm": {"partial_rotary_factor": 0.25, "use_qkv_bias": True, "qk_layernorm": True},
    "starcoder2": WINDOW,
    "vaultgemma": {"head_dim": 32, **WINDOW},
    "xglm": {"d_model": 64, "num_layers": LAYERS, "attention_heads": 4, "ffn_dim": 96},
    "youtu": LATENT,
}
"""Families that can be cut into blocks, with settings that differ from the usual where a family has such."""

WHOLE: dict[str, dict[str, Any]] = {
    "doge": {},
    "falcon": {"alibi": True},
    "falcon_h1": {
        "mamba_d_ssm": 64,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_state": 16,
        "mamba_chunk_size": 8,
        "head_dim": 16,
    },
    "gemma4_text": {
        "head_dim": 16,
        "global_head_dim": 16,
        "num_kv_shared_layers": 2,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
        **TURNS,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba": {"state_size": 8},
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": LAYERS, "max_seq_len": 256},
    "qwen3_5_text": LINEAR_TURNS,
    "qwen3_next": {**EXPERTS, "shared_expert_intermediate_size": 32, **LINEAR_TURNS},
    "rwkv": {},
}
"""Families that can only answer whole."""


def tiny_model(family: str, settings: dict[str, Any]) -> Any:
    """A causal model whose attention, biases and norms all matter: drawn wider than families draw them."""
    transformers_logging.set_verbosity_error()
    config = CONFIG_MAPPING[family](**{**SHAPE, **settings})
    torch.manual_seed(0)
    model = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
            else:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def write_checkpoint(folder: Path, family: str, settings: dict[str, Any], **saving: Any) -> Any:
    """Returns the model that was written. `saving`: of `save_pretrained`, such as `max_shard_size`."""
    model = tiny_model(family, settings)
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder, **saving)
    write_tokenizer(folder)
    return model


def write_tokenizer(folder: Path) -> None:
    """One word a token: `t7` is token 7."""
    words = {f"t{index}": index for index in range(VOCABULARY)}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "t0"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="t2")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(folder)
