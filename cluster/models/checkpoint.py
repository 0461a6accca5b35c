"""The same small weights as a GGUF and as a Hugging Face folder, in F32, so that engines can be compared.

Reads the GGUFs of `tiny.py` and of the guide (llama or qwen2, F32 or F16) and writes without torch.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Fields = dict[str, Any]

CONTROL, USER_DEFINED = int(gguf.TokenType.CONTROL), int(gguf.TokenType.USER_DEFINED)
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
BYTEWISE = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# transformers splits text by qwen2's own rule, whatever the file of a qwen2 says.
PRE_TOKENIZERS = {
    "gpt-2": BYTEWISE,
    "qwen2": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False},
            BYTEWISE | {"use_regex": False},
        ],
    },
}


@dataclass(frozen=True)
class Checkpoint:
    """A GGUF's fields and its tensors by name: F32, rows first, as llama.cpp wants them."""

    fields: Fields
    tensors: dict[str, np.ndarray]

    @property
    def architecture(self) -> str:
        return self.fields["general.architecture"]

    def of_model(self, name: str) -> Any:  # noqa: ANN401 - a field has any of GGUF's types
        return self.fields.get(f"{self.architecture}.{name}")

    @property
    def heads(self) -> int:
        return self.of_model("attention.head_count")

    @property
    def kv_heads(self) -> int:
        return self.of_model("attention.head_count_kv")

    @property
    def head(self) -> int:
        return self.of_model("embedding_length") // self.heads


def read(path: Path, kv_copies: int = 1) -> Checkpoint:
    """Takes each head of keys and values `kv_copies` times, which computes the same and can be shared out."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    found = Checkpoint(fields, {tensor.name: _exact(tensor) for tensor in reader.tensors})
    if kv_copies > 1:
        fields[f"{found.architecture}.attention.head_count_kv"] = found.kv_heads * kv_copies
        for name in [name for name in found.tensors if ".attn_k." in name or ".attn_v." in name]:
            heads = found.tensors[name].reshape(-1, found.head, *found.tensors[name].shape[1:])
            copied = np.repeat(heads, kv_copies, axis=0)
            found.tensors[name] = copied.reshape(-1, *copied.shape[2:])
    return found


def _exact(tensor: gguf.ReaderTensor) -> np.ndarray:
    if tensor.data.dtype not in (np.float16, np.float32):
        raise ValueError(f"{tensor.name} is {tensor.tensor_type.name}; only F16 and F32 are exact in F32")
    return tensor.data.astype(np.float32)


def write_gguf(path: Path, checkpoint: Checkpoint, source: Path) -> Path:
    """Writes `checkpoint` with every other field as `source` has it."""
    writer = gguf.GGUFWriter(path, checkpoint.architecture)
    for name, field in gguf.GGUFReader(source).fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind, *inner = field.types
        writer.add_key_value(name, checkpoint.fields[name], kind, inner[-1] if inner else None)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, tensor in checkpoint.tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_hugging_face(folder: Path, checkpoint: Checkpoint) -> Path:
    """Makes `folder` a model for transformers, vLLM and MLX; one with pooling embeds by its tokens' mean."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    is_pooled = checkpoint.of_model("pooling_type") is not None
    _save(folder / "config.json", _config(checkpoint, is_pooled=is_pooled))
    _save(folder / "generation_config.json", {"do_sample": False} | _ends(checkpoint))
    _save(folder / "tokenizer.json", _tokenizer(checkpoint))
    _save(folder / "tokenizer_config.json", _tokenizer_config(checkpoint))
    _save_tensors(folder / "model.safetensors", dict(_renamed(checkpoint, is_pooled=is_pooled)))
    if is_pooled:
        _save_pooling(folder, checkpoint)
    return folder


def _save(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _config(checkpoint: Checkpoint, *, is_pooled: bool) -> Fields:
    family = {"llama": "Llama", "qwen2": "Qwen2"}[checkpoint.architecture]
    rope = float(checkpoint.of_model("rope.freq_base") or 10000.0)
    return {
        "architectures": [family + ("Model" if is_pooled else "ForCausalLM")],
        "model_type": checkpoint.architecture,
        "hidden_size": checkpoint.of_model("embedding_length"),
        "num_hidden_layers": checkpoint.of_model("block_count"),
        "intermediate_size": checkpoint.of_model("feed_forward_length"),
        "num_attention_heads": checkpoint.heads,
        "num_key_value_heads": checkpoint.kv_heads,
        "head_dim": checkpoint.head,
        "rms_norm_eps": round(checkpoint.of_model("attention.layer_norm_rms_epsilon"), 9),
        "max_position_embeddings": checkpoint.of_model("context_length"),
        "vocab_size": len(checkpoint.fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in checkpoint.tensors,
        "hidden_act": "silu",
        "use_sliding_window": False,
        # transformers reads the first, mlx-lm's qwen2 only the second and else takes a base of its own.
        "rope_parameters": {"rope_type": "default", "rope_theta": rope},
        "rope_theta": rope,
        "dtype": "float32",
    } | _ends(checkpoint)


def _ends(checkpoint: Checkpoint) -> Fields:
    """llama.cpp ends an answer at `<|endoftext|>` unasked, so all engines are told to."""
    tokens = checkpoint.fields["tokenizer.ggml.tokens"]
    stop, end = checkpoint.fields["tokenizer.ggml.eos_token_id"], tokens.index("<|endoftext|>")
    ends = [stop, *([end] if end != stop else [])]
    return {"bos_token_id": end, "eos_token_id": ends, "pad_token_id": end}


def _tokenizer(checkpoint: Checkpoint) -> Fields:
    fields = checkpoint.fields
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    added = [
        {"id": number, "content": token, "special": kind == CONTROL, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]
    merges = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]]
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": PRE_TOKENIZERS[fields["tokenizer.ggml.pre"]],
        "post_processor": _start(checkpoint),
        "decoder": BYTEWISE,
        "model": {"type": "BPE", "vocab": {token: number for number, token in enumerate(tokens)}}
        | {"merges": merges, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False},
    }


def _start(checkpoint: Checkpoint) -> Fields | None:
    if not checkpoint.fields.get("tokenizer.ggml.add_bos_token"):
        return None
    number = checkpoint.fields["tokenizer.ggml.bos_token_id"]
    token = checkpoint.fields["tokenizer.ggml.tokens"][number]
    start, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [start, text],
        "pair": [start, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


def _tokenizer_config(checkpoint: Checkpoint) -> Fields:
    tokens = checkpoint.fields["tokenizer.ggml.tokens"]
    template = checkpoint.fields.get("tokenizer.chat_template")
    return {
        # Any other class makes transformers split text by the rules of the model's family.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": tokens[checkpoint.fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": "<|endoftext|>",
        "model_max_length": checkpoint.of_model("context_length"),
        "clean_up_tokenization_spaces": False,
    } | ({"chat_template": template} if template else {})


def _renamed(checkpoint: Checkpoint, *, is_pooled: bool) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in checkpoint.tensors.items():
        if name in NAMES:
            if not (is_pooled and name == "output.weight"):
                yield NAMES[name], tensor
            continue
        _, layer, part, kind = name.split(".")
        heads = {"attn_q": checkpoint.heads, "attn_k": checkpoint.kv_heads}.get(part)
        if heads is not None and checkpoint.architecture == "llama":
            tensor = _in_halves(tensor, heads)
        yield f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}", tensor


def _in_halves(tensor: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp turns neighbouring rows of a head together, transformers those half a head apart."""
    pairs = tensor.reshape(heads, -1, 2, *tensor.shape[1:])
    return pairs.swapaxes(1, 2).reshape(tensor.shape)


def _save_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The safetensors format: the header's length, a JSON header, the bytes one after another."""
    header, start = {}, 0
    for name, tensor in tensors.items():
        spans = [start, start := start + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": spans}
    text = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def _save_pooling(folder: Path, checkpoint: Checkpoint) -> None:
    """The three steps as sentence-transformers writes them: model, mean, length 1."""
    steps = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(steps.items())
    ]
    _save(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    width = {"word_embedding_dimension": checkpoint.of_model("embedding_length")}
    _save(folder / "1_Pooling" / "config.json", width | {"pooling_mode_mean_tokens": True})
