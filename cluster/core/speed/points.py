"""Published speeds, with their sources.  The constants are fitted to `POINTS`, and judged on them.

Where a source gives several backends of one card, one is taken for all its rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.core.layout import EngineKind
from cluster.core.speed.model import Split

SOURCES: Mapping[str, str] = {
    "spark": "llama.cpp's discussion of DGX Spark (ggml-org), pp2048/tg32 in batches of 2,048",
    "spark-repo": "ggml-org/llama.cpp, benches/dgx-spark.md, build 6918",
    "m2-ultra-repo": "ggml-org/llama.cpp, benches/mac-m2-ultra, llama-batched-bench",
    "llama3-table": "XiongjieDai/GPU-Benchmarks-on-LLM-Inference, May 2024: tg1024 and pp1024",
    "gpt-oss-guide": "published runs of gpt-oss-20b, llama.cpp and MLX",
    "strix": "fromthematrix.dev: Ryzen AI Max+ 395, llama.cpp b8123 on Vulkan, a prompt of 7,624 tokens",
    "mac-cluster": "geerlingguy/beowulf-ai-cluster issue 17: M3 Ultras, llama.cpp, RPC, exo over RDMA",
    "llama-70b-mlx": "published runs of Llama-3-70B in 4 bits on an M3 Ultra, MLX",
    "mlx-update": "MLX Inference Performance Update, April 2026: M2 Ultra, vllm-mlx",
    "r9700": "kyuz0/amd-r9700-ai-toolboxes, Vulkan RADV, flash attention",
}

_LLAMACPP, _MLX = EngineKind.LLAMACPP, EngineKind.MLX


@dataclass(frozen=True, slots=True)
class Point:
    """`num_tokens` 0: decode at `depth`, else prefill of so many tokens behind `depth`.  Depths of decode
    are means over the tokens written.  `tokens_s`: of all sequences together.  `chunk_tokens` None: the
    engine's default.  `quantisation` empty: as the model's config says.  `doubt`: why it is judged by, and
    not fitted to.
    """

    source: str
    machine: str
    model: str
    quantisation: str
    tokens_s: float
    depth: float = 0.0
    num_tokens: int = 0
    engine: EngineKind = _LLAMACPP
    num_machines: int = 1
    split: Split = Split.NONE
    link: str = ""
    chunk_tokens: int | None = None
    captured: bool = True
    num_sequences: int = 1
    doubt: str = ""


def _spark() -> Iterator[Point]:
    """Depth, then tokens a second of pp2048 and of tg32 behind it."""
    rows = (
        ("spark", "gpt-oss-120b", "mxfp4_moe", 0, 1937, 59.05),
        ("spark", "gpt-oss-120b", "mxfp4_moe", 4096, 1843, 55.90),
        ("spark", "gpt-oss-120b", "mxfp4_moe", 8192, 1761, 53.14),
        ("spark", "gpt-oss-120b", "mxfp4_moe", 16384, 1555, 49.49),
        ("spark", "gpt-oss-120b", "mxfp4_moe", 32768, 1269, 42.87),
        ("spark", "gpt-oss-20b", "mxfp4_moe", 0, 3611, 79.7),
        ("spark", "gpt-oss-20b", "mxfp4_moe", 16384, 2686, 64.0),
        ("spark-repo", "Qwen3-Coder-30B-A3B", "q8_0", 0, 3175.6, 60.92),
        ("spark-repo", "Qwen3-Coder-30B-A3B", "q8_0", 8192, 2381.9, 48.58),
        ("spark-repo", "Qwen3-Coder-30B-A3B", "q8_0", 32768, 1292.2, 30.80),
        ("spark-repo", "Qwen2.5-Coder-7B", "q8_0", 0, 2276.3, 29.30),
        ("spark-repo", "Qwen2.5-Coder-7B", "q8_0", 8192, 1913.5, 27.42),
        ("spark-repo", "Qwen2.5-Coder-7B", "q8_0", 32768, 1283.4, 22.70),
    )
    for source, model, quantisation, depth, read, written in rows:
        yield Point(source, "dgx-spark", model, quantisation, read, depth, 2048, chunk_tokens=2048)
        yield Point(source, "dgx-spark", model, quantisation, written, depth + 16)


def _gpt_oss_20b() -> Iterator[Point]:
    """tg128."""
    for machine, written in (
        ("rtx-4090", 279.7),
        ("rtx-5090", 302.0),
        ("radeon-r9700", 163.0),
        ("m3-ultra-512", 115.0),
        ("dgx-spark", 88.0),
        ("rtx-3060", 84.0),
    ):
        yield Point("gpt-oss-guide", machine, "gpt-oss-20b", "mxfp4_moe", written, 64)
    yield Point("gpt-oss-guide", "m3-ultra-512", "gpt-oss-20b", "mxfp4-q8", 152.0, 64, engine=_MLX)
    batches = "m2-ultra-repo", "m2-ultra-192", "gpt-oss-20b", "mxfp4_moe"
    yield Point(*batches, 2381.4, 0, 512)
    yield Point(*batches, 2638.6, 0, 4096, chunk_tokens=2048)
    yield Point(*batches, 130.45, 528)


def _strix() -> Iterator[Point]:
    for model, quantisation, read, written in (
        ("gpt-oss-120b", "mxfp4_moe", 404, 52),
        ("gpt-oss-20b", "mxfp4_moe", 1040, 70),
        ("Qwen3-Coder-30B-A3B", "q4_k_m", 779, 66),
        ("Devstral-Small-24B", "q4_k_m", 281, 14),
    ):
        yield Point("strix", "strix-halo", model, quantisation, read, 0, 7624)
        yield Point("strix", "strix-halo", model, quantisation, written, 7800)


def _r9700() -> Iterator[Point]:
    for model, quantisation, read, written in (
        ("gpt-oss-20b", "mxfp4_moe", 2664.4, 129.48),
        ("Qwen3-Coder-30B-A3B", "q4_k_m", 1473.3, 104.81),
        ("Llama-2-7B", "q4_0", 2361.2, 108.44),
    ):
        yield Point("r9700", "radeon-r9700", model, quantisation, read, 0, 512)
        yield Point("r9700", "radeon-r9700", model, quantisation, written, 64)


def _llama3() -> Iterator[Point]:
    """Q4_K_M: machine, how many, tokens a second of tg1024 and pp1024."""
    small = (
        ("rtx-3070", 1, 70.94, 2283.6),
        ("rtx-3080", 1, 106.40, 3557.0),
        ("rtx-3090", 1, 111.74, 3865.4),
        ("rtx-4070-ti", 1, 82.21, 3653.1),
        ("rtx-4080", 1, 106.22, 5065.0),
        ("rtx-4090", 1, 127.74, 6898.7),
        ("rtx-a6000", 1, 102.22, 3621.8),
        ("rtx-6000-ada", 1, 130.99, 5560.9),
        ("m1-8", 1, 9.72, 87.26),
        ("m1-max-64", 1, 34.49, 355.5),
        ("m2-ultra-192", 1, 76.28, 1023.9),
        ("m3-max-64", 1, 50.74, 678.0),
    )
    large = (
        ("rtx-3090", 2, 16.29, 393.9),
        ("rtx-4090", 2, 19.06, 905.4),
        ("rtx-a6000", 1, 14.58, 466.8),
        ("rtx-6000-ada", 1, 18.36, 547.0),
        ("m2-ultra-192", 1, 12.13, 117.8),
    )
    rows = [("Llama-3.1-8B", *row) for row in small]
    for model, machine, num, written, read in (*rows, *(("Llama-3.3-70B", *row) for row in large)):
        split, link = (Split.PIPELINE, "pcie") if num > 1 else (Split.NONE, "")
        for tokens_s, depth, num_tokens in ((written, 512, 0), (read, 0, 1024)):
            yield Point(
                "llama3-table",
                machine,
                model,
                "q4_k_m",
                tokens_s,
                depth,
                num_tokens,
                num_machines=num,
                split=split,
                link=link,
                captured=False,
            )


def _m3_ultra() -> Iterator[Point]:
    deepseek = "mac-cluster", "m3-ultra-512", "DeepSeek-R1", "q4_k_m"
    yield Point(*deepseek, 168.9, 0, 512)
    yield Point(*deepseek, 159.6, 0, 4096)
    yield Point(*deepseek, 20.2, 64)
    llama = "llama-70b-mlx", "m3-ultra-512", "Llama-3.3-70B"
    yield Point(*llama, "4bit", 169.5, 0, 4096, _MLX)
    yield Point(*llama, "4bit", 74.0, 0, 131072, _MLX)
    yield Point("mac-cluster", "m3-ultra-512", "Llama-3.3-70B", "q4_k_m", 14.1, 64)


def _mlx_depths() -> Iterator[Point]:
    """256 tokens written behind 4k, 64k and 128k."""
    for model, quantisation, speeds in (
        ("Qwen3.5-35B-A3B", "8bit", (71.8, 53.5, 41.9)),
        ("Qwen3.5-122B-A10B", "5bit", (40.6, 29.4, 23.1)),
        ("Qwen3.5-27B", "8bit", (20.2, 16.4, 13.1)),
    ):
        for depth, written in zip((4096, 65536, 131072), speeds, strict=True):
            yield Point("mlx-update", "m2-ultra-192", model, quantisation, written, depth + 128, engine=_MLX)
    yield Point(
        "mlx-update",
        "m2-ultra-192",
        "Qwen3.5-122B-A10B",
        "5bit",
        131072 / (19.3 * 60),
        0,
        131072,
        _MLX,
        doubt="an M2 Max, half of this chip, is published with more (206 to 234 tokens a second at 1k to 4k)",
    )


def _mac_cluster() -> Iterator[Point]:
    """1, 2 and 4 M3 Ultras: exo with tensor parallel over RDMA, then llama.cpp with RPC over TCP.

    DeepSeek and Kimi fit these machines with 4 bits only.
    """
    tensor = (
        ("Qwen3-235B-A22B", "8bit", (19.5, 26.2, 31.9)),
        ("DeepSeek-V3.1", "4bit", (21.1, 27.8, 32.5)),
        ("Kimi-K2-Thinking", "", (None, 21.6, 28.3)),
    )
    pipeline = (
        ("Qwen3-235B-A22B", "q8_0", (20.4, 17.2, 15.2)),
        ("DeepSeek-V3.1", "q4_k_m", (14.8, 16.0, 14.6)),
        ("Kimi-K2", "q4_k_m", (None, 18.5, 16.4)),
    )
    for rows, engine, split, link in (
        (tensor, _MLX, Split.TENSOR, "tb5-rdma"),
        (pipeline, _LLAMACPP, Split.PIPELINE, "10gbe"),
    ):
        for model, quantisation, speeds in rows:
            for num, written in zip((1, 2, 4), speeds, strict=True):
                if written is not None:
                    yield Point(
                        "mac-cluster",
                        "m3-ultra-512",
                        model,
                        quantisation,
                        written,
                        128,
                        engine=engine,
                        num_machines=num,
                        split=split if num > 1 else Split.NONE,
                        link=link if num > 1 else "",
                    )


POINTS: tuple[Point, ...] = (
    *_spark(),
    *_gpt_oss_20b(),
    *_strix(),
    *_r9700(),
    *_llama3(),
    *_m3_ultra(),
    *_mlx_depths(),
    *_mac_cluster(),
)


def _batches() -> Iterator[Point]:
    """32 tokens written by 2, 4, 8, 16 and 32 sequences at once, each behind so many."""
    spark, ultra = ("spark-repo", "dgx-spark"), ("m2-ultra-repo", "m2-ultra-192")
    for (source, machine), model, quantisation, depth, speeds in (
        (spark, "gpt-oss-120b", "mxfp4_moe", 512, (60.35, 95.08, 146.65, 220.02, 312.56)),
        (spark, "gpt-oss-120b", "mxfp4_moe", 8192, (54.13, 79.74, 114.91, 149.74, 196.60)),
        (spark, "gpt-oss-20b", "mxfp4_moe", 512, (95.00, 151.90, 254.09, 400.94, 614.82)),
        (spark, "gpt-oss-20b", "mxfp4_moe", 8192, (82.98, 127.28, 191.33, 262.36, 341.16)),
        (spark, "Qwen3-Coder-30B-A3B", "q8_0", 512, (64.11, 102.01, 154.91, 232.98, 345.01)),
        (spark, "Qwen3-Coder-30B-A3B", "q8_0", 8192, (50.51, 72.59, 96.39, 121.64, 143.06)),
        (spark, "Qwen2.5-Coder-7B", "q8_0", 512, (54.46, 104.33, 195.67, 335.01, 593.27)),
        (spark, "Qwen2.5-Coder-7B", "q8_0", 8192, (48.39, 84.71, 138.88, 196.21, 268.20)),
        (ultra, "gpt-oss-20b", "mxfp4_moe", 512, (167.56, 211.76, 247.75, 326.11, 536.15)),
    ):
        for num, written in zip((2, 4, 8, 16, 32), speeds, strict=True):
            yield Point(source, machine, model, quantisation, written, depth + 16, num_sequences=num)


BATCHES: tuple[Point, ...] = tuple(_batches())
"""Judged by alone: nothing is fitted to them."""
