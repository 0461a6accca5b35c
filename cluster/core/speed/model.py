"""Seconds of a decode step and of a prefill, and what they go to.

Decode      weights and KV at the bandwidth  or  unpacking the weights, whichever is longer
            + attention's products  +  a launch for each operation  +  the network
Prefill     products of matrices and attention  +  weights and activations at the bandwidth
            + launches of each chunk  +  the network

Tensor parallel divides all but the launches; a pipeline divides nothing for one sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cluster.core.layout import EngineKind
from cluster.core.speed.constants import (
    Constants,
    attention_share,
    bandwidth_share,
    compute_share,
    launch_s,
    tile_tokens,
)
from cluster.core.speed.machines import Link, Machine
from cluster.core.speed.work import Work

F16_BYTES = 2.0
PLAIN_BITS = 8.0
"""Weights of so many bits need no unpacking that takes longer than reading them."""

CHUNK_TOKENS = {EngineKind.LLAMACPP: 512, EngineKind.MLX: 2048, EngineKind.VLLM: 2048, EngineKind.FAKE: 512}
"""Prompt tokens that an engine computes at once: the defaults of llama.cpp and mlx-lm."""

ALL_REDUCES = 2
"""A layer: after attention and after the network."""

RPC_MESSAGES = 8
RPC_TENSOR_BYTES = 296
RPC_TENSORS = 2
"""llama.cpp's RPC, for each other server and token: messages that are waited for (inputs, copy in, graph,
copy out), and the graph itself, a record for each operation and about one more tensor.  Counted, not
measured."""


class Limit(StrEnum):
    """What a step waits for longest."""

    MEMORY = "bandwidth"
    COMPUTE = "compute"
    NETWORK = "network"
    OVERHEAD = "overhead"


class Split(StrEnum):
    """How a model lies on several machines."""

    NONE = "none"
    TENSOR = "tensor"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Rig:
    """`num` equal machines as one.  `captured`: see `launch_s`; llama.cpp does so since May 2024."""

    machine: Machine
    engine: EngineKind
    num: int = 1
    split: Split = Split.NONE
    link: Link | None = None
    captured: bool = True

    @property
    def num_ranks(self) -> int:
        return self.num if self.split is Split.TENSOR else 1


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds."""

    memory_s: float = 0.0
    compute_s: float = 0.0
    network_s: float = 0.0
    overhead_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.memory_s + self.compute_s + self.network_s + self.overhead_s

    @property
    def limit(self) -> Limit:
        parts = (self.memory_s, self.compute_s, self.network_s, self.overhead_s)
        return max(zip(parts, Limit, strict=True), key=lambda part: part[0])[1]


def decode_step(
    work: Work,
    rig: Rig,
    constants: Constants,
    depths: Sequence[float],
    kv_number_bytes: float = F16_BYTES,
) -> Spent:
    """One token for each sequence, `depths`: how many tokens each has before it."""
    machine, num_tokens = rig.machine, len(depths)
    bandwidth = machine.bandwidth_bytes_s * bandwidth_share(constants, machine.vendor)
    states = 2 * work.state_bytes * num_tokens
    read_s = (work.active_bytes(num_tokens) + states) / bandwidth / rig.num_ranks
    unpack_s = _unpack_s(work, rig, constants, num_tokens)
    kv_s, attention_s = 0.0, 0.0
    attended = machine.tflops * 1e12 * attention_share(constants, machine.vendor)
    for span in work.spans:
        tokens = sum(span.tokens(depth) for depth in depths)
        kv_s += tokens * span.kv_numbers * kv_number_bytes / bandwidth / (rig.num_ranks if span.splits else 1)
        attention_s += 2 * tokens * span.decode_products / attended / rig.num_ranks
    begun_s = launch_s(constants, machine.vendor, rig.engine, rig.captured)
    return Spent(
        kv_s + (read_s if read_s >= unpack_s else 0.0),
        attention_s + (unpack_s if unpack_s > read_s else 0.0),
        network_s(work, rig, num_tokens),
        work.num_launches * begun_s,
    )


def _unpack_s(work: Work, rig: Rig, constants: Constants, num_tokens: int) -> float:
    """llama.cpp's packed weights cost so many operations each; others less than to read them."""
    if rig.engine is not EngineKind.LLAMACPP or work.weight_bits >= PLAIN_BITS:
        return 0.0
    peak = rig.machine.tflops * 1e12
    return work.active_params(num_tokens) * constants["unpack"] / peak / rig.num_ranks


def prefill(
    work: Work,
    rig: Rig,
    constants: Constants,
    start_tokens: float,
    num_tokens: float,
    chunk_tokens: int | None = None,
) -> Spent:
    """`num_tokens` of a prompt of which `start_tokens` are in the KV memory already."""
    machine = rig.machine
    chunk = min(chunk_tokens or CHUNK_TOKENS[rig.engine], num_tokens)
    num_chunks = num_tokens / chunk
    reached = machine.basis_tflops * 1e12 * compute_share(constants, machine.family, rig.engine)
    reached *= rig.num_ranks
    routed = work.expert_share * work.routed_params
    routed *= 1 + tile_tokens(constants, machine.vendor) / max(chunk * work.expert_share, 1e-9)
    products = 2 * num_tokens * (work.fixed_params + routed)
    depth = start_tokens + num_tokens / 2
    attention = sum(2 * num_tokens * span.prefill_products * span.tokens(depth) for span in work.spans)
    bandwidth = machine.bandwidth_bytes_s * bandwidth_share(constants, machine.vendor)
    weights = num_chunks * (work.fixed_bytes + work.routed_bytes * work.touched(chunk)) / rig.num_ranks
    activations = num_tokens * work.num_launches * work.hidden * constants["traffic"]
    begun_s = launch_s(constants, machine.vendor, rig.engine, rig.captured)
    return Spent(
        (weights + activations) / bandwidth,
        (products + attention / constants["attention_prefill"]) / reached,
        num_chunks * network_s(work, rig, chunk),
        num_chunks * work.num_launches * begun_s,
    )


def network_s(work: Work, rig: Rig, num_tokens: float) -> float:
    """Between machines, for one step of so many tokens."""
    if rig.link is None or rig.num == 1:
        return 0.0
    row_bytes = num_tokens * work.hidden * F16_BYTES
    others = rig.num - 1
    match rig.split:
        case Split.TENSOR:
            sent = 2 * row_bytes * others / rig.num
            return ALL_REDUCES * work.num_layers * (rig.link.latency_s + sent / rig.link.bytes_s)
        case Split.PIPELINE:
            messages = RPC_MESSAGES if rig.engine is EngineKind.LLAMACPP else 1
            records = RPC_TENSORS * work.num_launches * RPC_TENSOR_BYTES / rig.num
            graph = records if rig.engine is EngineKind.LLAMACPP else 0.0
            return others * (messages * rig.link.latency_s + (row_bytes + graph) / rig.link.bytes_s)
        case Split.NONE:
            return 0.0
