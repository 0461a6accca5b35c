"""Small random GGUFs, of kinds of memory that llama.cpp keeps: the fields and shapes that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from cluster.models import tiny

WIDTH, HIDDEN, LAYERS, HEADS, WINDOW = 512, 1024, 4, 8, 4096
HEAD = WIDTH // HEADS
LATENT, QUERIES, ROTARY, PLAIN = 448, 256, 64, 64
SLIDING = 1024

Fields = Mapping[str, int | float | Sequence[int]]
Shapes = Mapping[str, tuple[int, ...]]
"""Of each tensor, rows before columns."""


@dataclass(frozen=True, slots=True)
class GgufKind:
    """`layers`: the tensors of each.  `fields`: beyond those that every kind has."""

    architecture: str
    fields: Fields
    layers: tuple[Shapes, ...]
    more: Shapes


NETWORK: Shapes = {
    "attn_norm": (WIDTH,),
    "ffn_norm": (WIDTH,),
    "ffn_gate": (HIDDEN, WIDTH),
    "ffn_up": (HIDDEN, WIDTH),
    "ffn_down": (WIDTH, HIDDEN),
}


def _attention(kv_heads: int, **more: tuple[int, ...]) -> Shapes:
    return {
        **NETWORK,
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (HEAD * kv_heads, WIDTH),
        "attn_v": (HEAD * kv_heads, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        **more,
    }


def _plain(kv_heads: int) -> GgufKind:
    fields = {"attention.head_count_kv": kv_heads, "rope.dimension_count": HEAD}
    return GgufKind("llama", fields, (_attention(kv_heads),) * LAYERS, {})


def _windows() -> GgufKind:
    norms = {"attn_q_norm": (HEAD,), "attn_k_norm": (HEAD,)}
    norms |= {"post_attention_norm": (WIDTH,), "post_ffw_norm": (WIDTH,)}
    lengths = {"attention.key_length": HEAD, "attention.value_length": HEAD}
    fields = {"attention.head_count_kv": 4, "attention.sliding_window": SLIDING, **lengths}
    return GgufKind("gemma3", fields, (_attention(4, **norms),) * 6, {})


def _latent() -> GgufKind:
    layer = {
        **NETWORK,
        "attn_q_a": (QUERIES, WIDTH),
        "attn_q_a_norm": (QUERIES,),
        "attn_q_b": (HEADS * (PLAIN + ROTARY), QUERIES),
        "attn_kv_a_mqa": (LATENT + ROTARY, WIDTH),
        "attn_kv_a_norm": (LATENT,),
        "attn_k_b": (HEADS, LATENT, PLAIN),
        "attn_v_b": (HEADS, HEAD, LATENT),
        "attn_output": (WIDTH, HEADS * HEAD),
    }
    fields = {
        "attention.head_count_kv": 1,
        "attention.q_lora_rank": QUERIES,
        "attention.kv_lora_rank": LATENT,
        "attention.key_length": LATENT + ROTARY,
        "attention.value_length": LATENT,
        "attention.key_length_mla": PLAIN + ROTARY,
        "attention.value_length_mla": HEAD,
        "rope.dimension_count": ROTARY,
        "leading_dense_block_count": LAYERS,
        "expert_count": 2,
        "expert_used_count": 1,
        "expert_feed_forward_length": HIDDEN,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.0,
    }
    return GgufKind("deepseek2", fields, (layer,) * LAYERS, {})


def _convolutions() -> GgufKind:
    convolution: Shapes = {
        **NETWORK,
        "shortconv.conv": (WIDTH, 3),
        "shortconv.in_proj": (3 * WIDTH, WIDTH),
        "shortconv.out_proj": (WIDTH, WIDTH),
    }
    attention = _attention(4, attn_q_norm=(HEAD,), attn_k_norm=(HEAD,))
    fields = {"attention.head_count_kv": [0, 4, 0, 4], "shortconv.l_cache": 3}
    return GgufKind("lfm2", fields, (convolution, attention) * 2, {"token_embd_norm": (WIDTH,)})


KINDS: Mapping[str, GgufKind] = {
    "MHA": _plain(8),
    "GQA": _plain(2),
    "MQA": _plain(1),
    "sliding windows": _windows(),
    "MLA": _latent(),
    "short convolutions": _convolutions(),
}


def write(path: Path, kind: GgufKind) -> Path:
    """The same bytes each time."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, kind.architecture)
    for name, value in _fields(kind).items():
        key = f"{kind.architecture}.{name}"
        match value:
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case _:
                writer.add_array(key, list(value))
    tokens = len(tiny.add_tokenizer(writer, tiny.Shape()))
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (tokens, WIDTH), "output": (tokens, WIDTH)}
    if "token_embd_norm" not in kind.more:
        shapes["output_norm"] = (WIDTH,)
    shapes |= kind.more
    for number, layer in enumerate(kind.layers):
        shapes |= {f"blk.{number}.{name}": shape for name, shape in layer.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.02, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _fields(kind: GgufKind) -> Fields:
    return {
        "context_length": WINDOW,
        "embedding_length": WIDTH,
        "block_count": len(kind.layers),
        "feed_forward_length": HIDDEN,
        "attention.head_count": HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        **kind.fields,
    }
