"""A random model for tests and benches: a real GGUF that llama.cpp runs, with about a million parameters.

It says nothing that makes sense, but everything around its words is real: a byte-level tokenizer, control
tokens, a ChatML template with tools, a window, a KV cache.  The same shape and seed give the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

from cluster.deployments.partials import byte_letters
from cluster.models import recital

CONTROL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
MARKERS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
MERGES = ("h e", "Ġ t", "Ġt he", "i n", "a n")

CHATML = """\
{%- set first = messages[0] -%}
{%- if tools or first.role == 'system' %}<|im_start|>system
{% if first.role == 'system' %}{{ first.content }}
{% endif %}
{%- if tools %}Tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Call one with <tool_call>{"name": ..., "arguments": ...}</tool_call>
{% endif %}<|im_end|>
{% endif %}
{%- for message in (messages[1:] if first.role == 'system' else messages) %}
{%- set role = 'user' if message.role == 'tool' else message.role %}<|im_start|>{{ role }}
{% if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

PLAIN = """\
{%- for message in messages %}{{ message.role }}: {{ message.content }}
{% endfor %}
{%- if add_generation_prompt %}assistant: {% endif %}"""

THINKING = (
    CHATML
    + """\
{%- if add_generation_prompt and enable_thinking is not false %}<think>
{% endif %}"""
)

PRE_TOKENIZERS = {"llama": "gpt-2", "qwen2": "qwen2"}
RECITING = CHATML + "{%- if add_generation_prompt and think %}<think>\n{% endif %}" + recital.RECITE

TEMPLATES = {"chatml": CHATML, "thinking": THINKING, "plain": PLAIN, "reciting": RECITING}


@dataclass(frozen=True, slots=True)
class Shape:
    """What can be varied.  `extra_tokens` fills the vocabulary; sizes are in numbers, `window` in tokens.

    `is_wild`: it also ends its answers and says pieces of characters; otherwise it talks on in ASCII.
    `has_start_token`: every prompt begins with `<|endoftext|>`, and the template says so too.
    template "reciting": it also knows the lines of `recital` by heart, and `think` opens its reasoning.
    `architecture`: qwen2 has biases on queries, keys and values, and turns heads in halves.
    """

    layers: int = 4
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 384
    window: int = 4096
    extra_tokens: int = 0
    template: Literal["chatml", "thinking", "plain", "reciting"] | None = "chatml"
    pooling: gguf.PoolingType | None = None
    is_wild: bool = False
    has_start_token: bool = False
    architecture: Literal["llama", "qwen2"] = "llama"
    seed: int = 7

    @property
    def head(self) -> int:
        return self.width // self.heads

    @property
    def recites(self) -> bool:
        return self.template == "reciting"


def write(path: Path, shape: Shape = Shape()) -> Path:
    """Writes the model to `path`, replacing it in one step, and returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    writer = gguf.GGUFWriter(fresh, shape.architecture)
    _describe(writer, shape)
    tokens = add_tokenizer(writer, shape)
    for name, weight in _weights(shape, len(tokens)):
        if shape.recites:
            weight = recital.learned(name, weight, tokens, end="<|im_end|>")
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fresh.replace(path)
    return path


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("Random tiny model")
    writer.add_description("Random weights, for tests and benches.")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.window)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    if shape.pooling is not None:
        writer.add_pooling_type(shape.pooling)


def add_tokenizer(writer: gguf.GGUFWriter, shape: Shape) -> list[str]:
    """Returns the vocabulary: bytes, merges, fillers, markers, control tokens, pieces of a recital."""
    normal = [*byte_letters(), *(merge.replace(" ", "") for merge in MERGES)]
    normal += [f"extra{number}" for number in range(shape.extra_tokens)]
    tokens = [*normal, *MARKERS, *CONTROL]
    types = [gguf.TokenType.NORMAL] * len(normal)
    types += [gguf.TokenType.USER_DEFINED] * len(MARKERS) + [gguf.TokenType.CONTROL] * len(CONTROL)
    if shape.recites:
        tokens += [*recital.PIECES, *recital.STARTS]
        types += [gguf.TokenType.NORMAL] * len(recital.PIECES)
        types += [gguf.TokenType.CONTROL] * len(recital.STARTS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZERS[shape.architecture])
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(shape.has_start_token)
    if shape.template is not None:
        start = "{{ bos_token }}" if shape.has_start_token else ""
        writer.add_chat_template(start + TEMPLATES[shape.template])
    return tokens


def _weights(shape: Shape, num_tokens: int) -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(shape.seed)

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return random.normal(0, scale / columns**0.5, (rows, columns)).astype(np.float32)

    width, kv_width, hidden = shape.width, shape.head * shape.kv_heads, shape.hidden
    yield "token_embd.weight", random.normal(0, 1, (num_tokens, width)).astype(np.float32)
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", np.ones(width, np.float32)
        yield f"blk.{layer}.attn_q.weight", matrix(width, width)
        yield f"blk.{layer}.attn_k.weight", matrix(kv_width, width)
        yield f"blk.{layer}.attn_v.weight", matrix(kv_width, width)
        if shape.architecture == "qwen2":
            for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
                yield f"blk.{layer}.attn_{part}.bias", matrix(1, rows)[0]
        yield f"blk.{layer}.attn_output.weight", matrix(width, width)
        yield f"blk.{layer}.ffn_norm.weight", np.ones(width, np.float32)
        yield f"blk.{layer}.ffn_gate.weight", matrix(hidden, width)
        yield f"blk.{layer}.ffn_up.weight", matrix(hidden, width)
        yield f"blk.{layer}.ffn_down.weight", matrix(width, hidden)
    yield "output_norm.weight", np.ones(width, np.float32)
    silent = len(byte_letters()) + len(MERGES) + shape.extra_tokens
    silent += 0 if shape.recites else len(MARKERS)
    # Far from ties, so that rounding in another order of batches never changes the greedy choice.
    output = matrix(num_tokens, width, scale=4.0)
    if not shape.is_wild:
        output[128:256] = output[silent:] = 0
    yield "output.weight", output
