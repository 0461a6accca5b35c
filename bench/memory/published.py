"""Published sizes of weights, and the units in which they are to be read.

Sources: model cards of an open inference project (exo's TOML files) for MLX, llama.cpp's own table of its
quantiser (Llama-3.1-8B) and pages of GGUFs.  Some cards hold exact counts of bytes.  Others hold whole GB or
MB from a page, counted as GiB or MiB, which shows: such bytes divide by 2^30 or 2^20 without rest, as sizes
of files do not, and exact cards of equal models say the decimal number.  These are read as the page had them,
and `printed_bytes` keeps what the card says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_UNITS = {
    "GB": (10**9, 10**9),
    "GiB": (2**30, 2**30),
    "GB as GiB": (10**9, 2**30),
    "MB as MiB": (10**6, 2**20),
}
"""How many bytes we read, and how many the source counts."""

_SIZES = (
    ("MiniMax-M2.5", "GB", "4bit 128.7  6bit 185.8  8bit 243.0  bf16 457.5"),
    ("gpt-oss-20b", "GB", "mxfp4-q8 12.03"),
    ("gpt-oss-20b", "GiB", "mxfp4_moe 11.27"),
    ("gpt-oss-120b", "GB", "mxfp4-q8 70.65"),
    ("gpt-oss-120b", "GiB", "mxfp4_moe 59.02"),
    ("Qwen3-30B-A3B", "GB", "4bit 17.6  8bit 33.3"),
    ("Qwen3-Coder-Next", "GB", "4bit 45.6  5bit 57.7  6bit 68.9  8bit 89.4  bf16 157.5"),
    ("Qwen3.5-35B-A3B", "GB", "4bit 20.4  8bit 37.7"),
    ("Qwen3.5-27B", "GB", "4bit 16.1  8bit 29.5  bf16 54.7"),
    ("Qwen3.5-122B-A10B", "GB", "4bit 69.6  6bit 100.1  8bit 130.6  bf16 245.1"),
    ("Qwen3.5-397B-A17B", "GB", "4bit 223.9  6bit 322.9  8bit 422.0"),
    ("Qwen3-235B-A22B", "GB as GiB", "4bit 132  8bit 250"),
    ("Qwen3-Coder-480B-A35B", "GB as GiB", "4bit 270  8bit 540"),
    ("GLM-4.5-Air", "GB as GiB", "8bit 114  bf16 214"),
    ("GLM-4.7", "GB", "4bit 198.6  6bit 286.7  8bit-gs32 397.0"),
    ("GLM-4.7-Flash", "GB as GiB", "4bit 18  8bit 32"),
    ("DeepSeek-V3.1", "GB as GiB", "4bit 378  8bit 713"),
    ("Kimi-K2", "GB as GiB", "4bit 578"),
    ("Llama-3.1-8B", "GB", "4bit 4.64"),
    ("Llama-3.1-8B", "MB as MiB", "8bit 8540  bf16 16100"),
    ("Llama-3.1-70B", "GB", "4bit 40.65  8bit 76.80  bf16 144.4"),
    ("Llama-3.1-8B", "GiB", "q2_k 2.95  q3_k_s 3.41  q3_k_l 4.02  q4_k_s 4.36  q4_k_m 4.58  q5_k_s 5.21"),
    ("Llama-3.1-8B", "GiB", "q5_k_m 5.33  q6_k 6.14  q8_0 7.95  f16 14.96  iq4_xs 4.17  iq4_nl 4.38"),
    ("Llama-3.1-8B", "GiB", "iq3_m 3.52  iq3_s 3.42  iq3_xs 3.27  iq3_xxs 3.04  iq2_m 2.74  iq2_s 2.56"),
    ("Llama-3.1-8B", "GiB", "iq2_xs 2.42  iq2_xxs 2.23  iq1_m 2.01  iq1_s 1.87"),
    ("Nemotron-3-Nano-30B-A3B", "GB", "4bit 17.775  5bit 21.721  6bit 25.668  8bit 33.560  bf16 63.156"),
)

KNOWN_MISSES = {
    ("gpt-oss-120b", "mxfp4-q8"): "the same recipe as gpt-oss-20b's, and the GGUF's 59.02 GiB, give 63.2 GB",
    ("Qwen3-Coder-Next", "5bit"): "5.79 bits a weight: a group of 64 gives 5.5",
    ("Qwen3-Coder-Next", "6bit"): "6.92 bits a weight: a group of 64 gives 6.5",
    ("Qwen3-Coder-Next", "8bit"): "8.97 bits; Qwen3-Next's card, of the same shape, says 84.7 GB: we 84.6",
    (
        "Qwen3-Coder-480B-A35B",
        "8bit",
    ): "twice the size of 4 bits: 9 bits a weight, where a group of 64 gives 8.5",
    ("GLM-4.7-Flash", "4bit"): "4.8 bits a weight; the cards of 5, 6 and 8 bits fit groups of 64",
}
"""What we do not meet, with the reason as far as it is known."""


@dataclass(frozen=True, slots=True)
class Published:
    """`num_bytes`: as read.  `printed_bytes`: as the source counts.  `miss`: why we do not meet it."""

    model: str
    quantisation: str
    num_bytes: int
    printed_bytes: int
    miss: str = ""


def published() -> tuple[Published, ...]:
    return tuple(each for model, unit, sizes in _SIZES for each in _of_model(model, unit, sizes))


def _of_model(model: str, unit: str, sizes: str) -> Iterator[Published]:
    read, printed = _UNITS[unit]
    words = sizes.split()
    for quantisation, size in zip(words[::2], map(float, words[1::2]), strict=True):
        miss = KNOWN_MISSES.get((model, quantisation), "")
        yield Published(model, quantisation, round(size * read), round(size * printed), miss)


@dataclass(frozen=True, slots=True)
class PublishedKv:
    """At 16 bits.  `sequence_mib`: what a sequence takes whatever its length, to a tenth; None: not told."""

    model: str
    token_bytes: int
    sequence_mib: float | None = 0.0


KV = (
    PublishedKv("Llama-3.1-8B", 131_072),
    PublishedKv("Llama-3.1-70B", 327_680),
    PublishedKv("Qwen3-8B", 147_456),
    PublishedKv("Qwen3-32B", 262_144),
    PublishedKv("Qwen3-30B-A3B", 98_304),
    PublishedKv("Qwen3-235B-A22B", 192_512),
    PublishedKv("Qwen3-Coder-480B-A35B", 253_952),
    PublishedKv("Qwen3-Coder-Next", 24_576, 73.7),
    PublishedKv("Qwen3.5-35B-A3B", 20_480, 61.4),
    PublishedKv("Qwen3.5-27B", 65_536, 146.8),
    PublishedKv("Qwen3.5-122B-A10B", 24_576, 146.5),
    PublishedKv("Qwen3.5-397B-A17B", 30_720, 183.2),
    PublishedKv("MiniMax-M2.5", 253_952),
    PublishedKv("GLM-4.7", 376_832),
    PublishedKv("GLM-4.5-Air", 188_416),
    PublishedKv("GLM-4.7-Flash", 54_144),
    PublishedKv("DeepSeek-V3.1", 70_272),
    PublishedKv("Kimi-K2", 70_272),
    PublishedKv("DeepSeek-V3.2", 78_324),
    PublishedKv("gpt-oss-20b", 24_576, 3.0),
    PublishedKv("gpt-oss-120b", 36_864, 4.5),
    PublishedKv("Gemma-3-27B", 81_920, 416.0),
    PublishedKv("Gemma-4-26B-A4B", 10_240, 200.0),
    PublishedKv("Step-3.7-Flash", 49_152, 66.0),
    PublishedKv("Nemotron-3-Nano-30B-A3B", 6_144, 46.8),
)
"""Computed from the published configs by each attention's own formula: states of delta nets and Mamba in
32 bits, their convolutions in 16, windows full."""
