"""Small models of each kind of memory that MLX keeps: their config.json."""

PLAIN: dict[str, object] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "vocab_size": 128,
    "rms_norm_eps": 1e-5,
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
EXPERTS: dict[str, object] = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED: dict[str, object] = {
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
}
SLIDING_AND_FULL = ["sliding_attention", "full_attention"] * 2
DELTA_NET: dict[str, object] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "decoder_sparse_step": 1,
    "shared_expert_intermediate_size": 32,
    "mlp_only_layers": [],
    "partial_rotary_factor": 0.5,
}
LATENT: dict[str, object] = ROUTED | {
    "num_key_value_heads": 4,
    "kv_lora_rank": 32,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.0,
    "moe_layer_freq": 1,
}
GLOBAL: dict[str, object] = {"num_global_key_value_heads": 1, "global_head_dim": 32, "attention_k_eq_v": True}
MAMBA: dict[str, object] = {
    "hybrid_override_pattern": "M*-M",
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "conv_kernel": 4,
    "n_groups": 2,
    "attention_bias": False,
    "mamba_proj_bias": False,
    "mlp_bias": False,
    "use_bias": False,
    "use_conv_bias": True,
    "time_step_limit": [0.0, 1.0],
    "time_step_min": 0.001,
}
CONVOLUTIONS: dict[str, object] = {
    "norm_eps": 1e-5,
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_dim": 64,
    "block_ff_dim": 128,
    "block_multiple_of": 1,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": False,
    "layer_types": ["conv", "full_attention"] * 2,
}
KINDS: dict[str, dict[str, object]] = {
    "llama": {},
    "gpt_oss": EXPERTS | {"head_dim": 64, "sliding_window": 128, "layer_types": SLIDING_AND_FULL},
    "qwen3_next": ROUTED | DELTA_NET,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT | {"index_head_dim": 32, "index_n_heads": 2, "index_topk": 64},
    "gemma3_text": {"sliding_window": 64, "sliding_window_pattern": 2, "query_pre_attn_scalar": 16},
    "gemma4_text": GLOBAL
    | {
        "sliding_window": 64,
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 0,
        "layer_types": SLIDING_AND_FULL,
    },
    "nemotron_h": MAMBA,
    "lfm2": CONVOLUTIONS,
}

OWN_HEAD: dict[str, object] = {"tie_word_embeddings": False}
"""mlx-lm gives these families a head of their own, whatever the config says."""

SIZES: dict[str, dict[str, object]] = {
    "": {"hidden_size": 256, "vocab_size": 1024, "intermediate_size": 512},
    "gpt_oss": OWN_HEAD,
    "deepseek_v3": OWN_HEAD,
    "deepseek_v32": OWN_HEAD,
    "gemma3_text": OWN_HEAD,
    "nemotron_h": OWN_HEAD,
    "lfm2": {"head_dim": 64, "block_dim": 256, "block_ff_dim": 512},
}
"""Of the bench: wide enough that norms and biases do not weigh as much as matrices."""
