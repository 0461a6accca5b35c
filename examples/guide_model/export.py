"""Writes the guide as a GGUF (F16) that llama.cpp runs as it is."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer

from examples.guide_model.model import Guide, Shape
from examples.guide_model.tokens import END, SPECIAL, STOP, TEMPLATE

DESCRIPTION = (
    "A look-up guide to Hearth: answers questions about Hearth from a text of its own and says so "
    "when asked about anything else. It reads only the last user message and knows nothing more."
)


def write(path: Path, model: Guide, tokenizer: Tokenizer) -> None:
    """Replaces `path` in one step, so a reader never sees half a file."""
    fresh = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(fresh, "llama")
    _describe(writer, model.shape)
    _add_tokenizer(writer, tokenizer)
    for name, weight in model.state_dict().items():
        kind = np.float16 if weight.dim() == 2 else np.float32
        writer.add_tensor(name, weight.detach().numpy().astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fresh.replace(path)


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("Hearth guide")
    writer.add_description(DESCRIPTION)
    writer.add_license("Apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_sampling_temp(0.0)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types([control if token in SPECIAL else normal for token, _ in vocab])
    writer.add_token_merges(_merges(tokenizer))
    writer.add_eos_token_id(tokenizer.token_to_id(STOP))
    writer.add_pad_token_id(tokenizer.token_to_id(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _merges(tokenizer: Tokenizer) -> list[str]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
