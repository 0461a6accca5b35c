"""A small Llama: RMS norm, rotary positions, grouped-query attention, SwiGLU, tied embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; `kv_heads` heads of keys and values serve all `heads` of queries."""

    vocab: int
    width: int = 160
    layers: int = 5
    heads: int = 5
    kv_heads: int = 1
    hidden: int = 448
    context: int = 4096
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head(self) -> int:
        return self.width // self.heads


class Block(nn.Module):
    """One layer; names follow the tensors of a GGUF so that export is a renaming."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.kv_heads * shape.head
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv, bias=False)
        self.attn_v = nn.Linear(shape.width, kv, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        x = x + self._attend(self.attn_norm(x), turns)
        y = self.ffn_norm(x)
        return x + self.dropout(self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y)))

    def _attend(self, x: Tensor, turns: Tensor) -> Tensor:
        batch, length, width = x.shape
        q = self.attn_q(x).view(batch, length, self.shape.heads, self.shape.head).transpose(1, 2)
        k = self.attn_k(x).view(batch, length, self.shape.kv_heads, self.shape.head).transpose(1, 2)
        v = self.attn_v(x).view(batch, length, self.shape.kv_heads, self.shape.head).transpose(1, 2)
        group = self.shape.heads // self.shape.kv_heads
        k, v = rotate(k, turns).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = functional.scaled_dot_product_attention(rotate(q, turns), k, v, is_causal=True)
        return self.attn_output(y.transpose(1, 2).reshape(batch, length, width))


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary positions over neighbouring pairs (llama.cpp's normal order)."""
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = turns.cos(), turns.sin()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Guide(nn.Module):
    """Token ids [batch, length] to logits [kept, vocab] where `kept` [batch, length] is true."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.width)
        self.blk = nn.ModuleList(Block(shape, dropout) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.dropout = nn.Dropout(dropout)
        rates = shape.rope_base ** (-torch.arange(0, shape.head, 2) / shape.head)
        self.register_buffer("rates", rates, persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                scale = 0.02 / (2 * shape.layers) ** 0.5 if "output" in name or "down" in name else 0.04
                nn.init.normal_(weight, std=scale)

    def forward(self, ids: Tensor, kept: Tensor) -> Tensor:
        turns = torch.arange(ids.shape[1])[:, None] * self.rates
        x = self.dropout(self.token_embd(ids))
        for block in self.blk:
            x = block(x, turns)
        return functional.linear(self.output_norm(x[kept]), self.token_embd.weight)
